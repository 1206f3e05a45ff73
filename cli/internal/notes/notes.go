// Package notes hears what the services say about their policies.
package notes

import (
	"context"
	"log/slog"
	"sync"
)

// field is the log field in which the services say what is odd about policies that are in force all the same.
const field = "note"

// Logger returns a logger that passes every note on to hear, one after the other, and nothing else. Several services
// may share it.
func Logger(hear func(note string)) *slog.Logger { return slog.New(&handler{hear: hear}) }

type handler struct {
	mu   sync.Mutex
	hear func(note string)
}

// Enabled implements slog.Handler.
func (*handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == field {
			h.hear(a.Value.String())
		}
		return true
	})
	return nil
}

// WithAttrs implements slog.Handler. What loggers carry is about who speaks.
func (h *handler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(string) slog.Handler { return h }
