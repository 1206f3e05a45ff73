package casetest

import (
	"context"
	"log/slog"
	"sync"
)

// notes hears what the services say about their policies. It is safe for concurrent use.
type notes struct {
	mu    sync.Mutex
	texts []string
}

// noteField is the log field in which the services say what is odd about policies.
const noteField = "note"

func (n *notes) logger() *slog.Logger { return slog.New(n) }

// said returns what was heard.
func (n *notes) said() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.texts
}

// Enabled implements slog.Handler.
func (n *notes) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (n *notes) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == noteField {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.texts = append(n.texts, a.Value.String())
		}
		return true
	})
	return nil
}

// WithAttrs implements slog.Handler. What loggers carry is about who speaks.
func (n *notes) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements slog.Handler.
func (n *notes) WithGroup(string) slog.Handler { return n }
