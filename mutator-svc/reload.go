package mutatorsvc

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
)

// loader reads the configuration, first and whenever its file changes, and keeps the mutators that it
// makes.
type loader struct {
	opts            Options
	config          *Config         // in force
	watcher         *config.Watcher // nil: nothing is watched
	reloads         metric.Int64Counter
	serviceAccounts identity.ServiceAccounts
	mutators        map[string]*replaceable
}

// replaceable is a mutator that is replaced while it is asked.
type replaceable struct{ current atomic.Pointer[sdk.Mutator] }

// Mutate asks the mutator that is in force.
func (r *replaceable) Mutate(ctx context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	return (*r.current.Load()).Mutate(ctx, req)
}

func newLoader(opts Options) (*loader, error) {
	reloads, err := opts.Telemetry.MeterProvider.Meter(scope).Int64Counter("gatefold.config.reloads",
		metric.WithDescription("Changes of the configuration file, and whether they could be used."))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	l := &loader{opts: opts, config: opts.Config, reloads: reloads, mutators: map[string]*replaceable{}}
	if opts.Config != nil {
		return l, nil
	}
	// Watched from before it is read, so that no change falls between the two.
	if l.watcher, err = config.NewWatcher(opts.ConfigFile); err != nil {
		return nil, err
	}
	if l.config, err = LoadConfig(opts.ConfigFile); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// serveFrom makes the mutators for the first time.
func (l *loader) serveFrom(state *cluster.Cluster) (err error) {
	if l.serviceAccounts, err = serviceAccounts(state, l.opts); err != nil {
		return err
	}
	for _, name := range l.config.Mutators {
		l.mutators[name] = &replaceable{}
	}
	return l.use(l.config)
}

// handlers is what sdk.Serve serves.
func (l *loader) handlers() map[string]sdk.Mutator {
	handlers := map[string]sdk.Mutator{}
	for name, mutator := range l.mutators {
		handlers[name] = mutator
	}
	return handlers
}

// use puts cfg in force, all of it or, with an error, nothing.
func (l *loader) use(cfg *Config) error {
	stamp, err := labels.New(cfg.Labels)
	if err != nil {
		return err
	}
	made := map[string]sdk.Mutator{Labels: stamp, Identity: identity.New(cfg.Identity, l.serviceAccounts)}
	for name, mutator := range l.mutators {
		next := made[name]
		mutator.current.Store(&next)
	}
	l.config = cfg
	return nil
}

// follow applies changes until ctx is done.
func (l *loader) follow(ctx context.Context) error {
	if l.watcher == nil {
		<-ctx.Done()
		return nil
	}
	watcher := l.watcher
	l.watcher = nil // Run frees it
	return watcher.Run(ctx, func() { l.reload(ctx) })
}

// reload puts the file as it is now in force; or, when anything is wrong, says so and changes nothing.
func (l *loader) reload(ctx context.Context) {
	logger, before := l.opts.Telemetry.Logger, l.config
	cfg, err := LoadConfig(l.opts.ConfigFile)
	if err == nil {
		err = l.use(cfg)
	}
	l.reloads.Add(ctx, 1, metric.WithAttributes(attribute.Bool("good", err == nil)))
	if err != nil {
		logger.ErrorContext(ctx, "configuration not reloaded: the last good one stays in force", "file", l.opts.ConfigFile, "error", err.Error())
		return
	}
	logger.InfoContext(ctx, "configuration reloaded", "file", l.opts.ConfigFile)
	if !reflect.DeepEqual(cfg.Listen, before.Listen) || cfg.Admin != before.Admin || !slices.Equal(cfg.Mutators, before.Mutators) {
		logger.WarnContext(ctx, "listen, admin or mutators have changed: that takes effect when the service is started again", "file", l.opts.ConfigFile)
	}
}

// close frees the watch of a service that will not run.
func (l *loader) close() {
	if l.watcher == nil {
		return
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.watcher.Run(ended, func() {}) // returns nil for a context that is done
}
