// Package source has log lines of all the forms that the generator reads.
package source

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/status"
)

// Thing is
// documented.
type Thing struct {
	// A comes first.
	A, B string
	C    int
}

func lines(ctx context.Context, logger *slog.Logger, level slog.Level, note string, err error) error {
	logger.Warn("plain", "error", err)
	logger.InfoContext(ctx, "with context", "file", "f", "count", 1)
	logger.LogAttrs(ctx, slog.LevelError, "attributes", slog.String("uid", note), slog.Any("error", err))
	logger.LogAttrs(ctx, level, "some level")
	collected := []slog.Attr{slog.String("uid", note)}
	if err != nil {
		collected = append(collected, slog.Any("error", err))
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "a list", collected...)
	_ = err.Error() + "gatefold.seen" + "gatefold.dev/v1alpha1"
	return status.Error(1, "no line")
}
