// Package reload keeps a running program in step with its configuration files: what becomes of them takes
// effect when it is good, and is reported and left alone when it is not.
package reload

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// Apply reads the files as they are now and puts them in force; or, with an error, changes nothing. It
// passes to watch, before it reads them, the files and folders that matter beside the configuration file,
// all of them each time. restart names what has changed but only takes effect when the program is started
// again; empty: nothing.
type Apply func(ctx context.Context, watch func(paths ...string)) (restart string, err error)

// Follower follows one configuration file.
type Follower struct {
	file    string
	watcher *config.Watcher // nil: there is no file
	tel     *telemetry.Telemetry
	reloads metric.Int64Counter
}

// New begins to watch file, before it is read for the first time, so that no change falls between the two.
// An empty file is for a program whose configuration was given to it: there is nothing to follow. The
// caller closes the follower.
func New(file string, tel *telemetry.Telemetry) (*Follower, error) {
	reloads, err := tel.MeterProvider.Meter("github.com/gatefold/gatefold/sdk/reload").Int64Counter("gatefold.config.reloads",
		metric.WithDescription("Changes of the configuration files, and whether they could be used."))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	f := &Follower{file: file, tel: tel, reloads: reloads}
	if file == "" {
		return f, nil
	}
	if f.watcher, err = config.NewWatcher(file); err != nil {
		return nil, err
	}
	return f, nil
}

// Close frees the watch.
func (f *Follower) Close() {
	if f.watcher != nil {
		f.watcher.Close()
	}
}

// Also is the watch to pass to an Apply that is called outside of Run.
func (f *Follower) Also(paths ...string) {
	if f.watcher != nil {
		f.watcher.Also(paths...)
	}
}

// Run calls apply after each change until ctx is done; it then returns nil. What comes of it is logged and
// counted here.
func (f *Follower) Run(ctx context.Context, apply Apply) error {
	if f.watcher == nil {
		<-ctx.Done()
		return nil
	}
	return f.watcher.Run(ctx, func() {
		restart, err := apply(ctx, f.Also)
		f.reloads.Add(ctx, 1, metric.WithAttributes(attribute.Bool("good", err == nil)))
		switch {
		case err != nil:
			f.tel.Logger.ErrorContext(ctx, "configuration not reloaded, the last good one stays in force", "file", f.file, "error", err.Error())
		case restart != "":
			f.tel.Logger.WarnContext(ctx, "configuration reloaded, but not all of it: start the program again for the rest", "file", f.file, "rest", restart)
		default:
			f.tel.Logger.InfoContext(ctx, "configuration reloaded", "file", f.file)
		}
	})
}
