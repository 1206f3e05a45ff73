// Package notes hears what the services say about their policies.
package notes

import (
	"context"
	"log/slog"
)

// field is the log field in which the services say what is odd about policies that are in force all the same.
const field = "note"

// Logger returns a logger that passes every note on to hear, and nothing else. hear must be safe for concurrent use.
func Logger(hear func(note string)) *slog.Logger { return slog.New(handler(hear)) }

type handler func(note string)

// Enabled implements slog.Handler.
func (handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h handler) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == field {
			h(a.Value.String())
		}
		return true
	})
	return nil
}

// WithAttrs implements slog.Handler. What loggers carry is about who speaks.
func (h handler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h handler) WithGroup(string) slog.Handler { return h }
