package validatorsvc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/validator-svc/internal/policy"
)

// loader reads the configuration and the policies, first and whenever their files change.
type loader struct {
	opts     Options
	config   *Config  // in force
	paths    []string // of policies, in the configuration file as it was last read
	policies *policies
	watcher  *config.Watcher // nil: nothing is watched
	reloads  metric.Int64Counter
}

func newLoader(opts Options) (*loader, error) {
	reloads, err := opts.Telemetry.MeterProvider.Meter("github.com/gatefold/gatefold/validator-svc").
		Int64Counter("gatefold.config.reloads", metric.WithDescription("Changes of the configuration and policy files, and whether they could be used."))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	return &loader{opts: opts, policies: &policies{cluster: opts.Cluster}, reloads: reloads}, nil
}

// start loads everything for the first time, and returns the configuration to serve by.
func (l *loader) start(ctx context.Context) (*Config, error) {
	if l.opts.Config != nil {
		return l.opts.Config, l.use(ctx, l.opts.Config)
	}
	// Each file is watched from before it is read, so that no change falls between the two.
	cfg, err := LoadConfig(l.opts.ConfigFile)
	if err != nil {
		return nil, err
	}
	l.paths = cfg.Policy.Paths
	if err := l.watch(); err != nil {
		return nil, err
	}
	if cfg, err = LoadConfig(l.opts.ConfigFile); err == nil {
		err = l.use(ctx, cfg)
	}
	if err != nil {
		return nil, errors.Join(err, l.unwatch(ctx))
	}
	return cfg, nil
}

// unwatch frees the watch of a service that will not run.
func (l *loader) unwatch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return l.watcher.Run(ctx, func() {})
}

// watch begins to watch the configuration file and l.paths.
func (l *loader) watch() error {
	watcher, err := config.NewWatcher(append([]string{l.opts.ConfigFile}, l.paths...)...)
	if err != nil {
		return err
	}
	l.watcher = watcher
	return nil
}

// use loads the policies that cfg names and puts them in force.
func (l *loader) use(ctx context.Context, cfg *Config) error {
	set, err := policy.Load(cfg.Policy.Paths)
	if err != nil {
		return fmt.Errorf("loading policies: %w", err)
	}
	for _, note := range set.Notes() {
		l.opts.Telemetry.Logger.WarnContext(ctx, note)
	}
	l.config = cfg
	l.policies.set.Store(set)
	l.opts.Telemetry.Logger.InfoContext(ctx, "policies in force", "policies", set.Policies())
	return nil
}

// follow applies changes until ctx is done.
func (l *loader) follow(ctx context.Context) error {
	if l.watcher == nil {
		<-ctx.Done()
		return nil
	}
	for {
		watching, stop := context.WithCancel(ctx)
		err := l.watcher.Run(watching, func() {
			if before := l.paths; !slices.Equal(before, l.reload(ctx)) {
				stop() // the files to watch have become others
			}
		})
		stop()
		if err != nil {
			return fmt.Errorf("watching the configuration: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := l.watch(); err != nil {
			l.opts.Telemetry.Logger.ErrorContext(ctx, "the policies cannot be watched, only the configuration is", "error", err.Error())
			l.paths = nil
			if err := l.watch(); err != nil {
				return err
			}
		}
		l.reload(ctx) // what changed before the new watch
	}
}

// reload puts the files as they are now in force; or, when anything is wrong, says so and changes nothing.
// It returns the paths of policies that are to be watched: also those that cannot be used yet.
func (l *loader) reload(ctx context.Context) []string {
	logger := l.opts.Telemetry.Logger
	before := l.config
	cfg, err := LoadConfig(l.opts.ConfigFile)
	if err == nil {
		l.paths = cfg.Policy.Paths
		err = l.use(ctx, cfg)
	}
	l.reloads.Add(ctx, 1, metric.WithAttributes(attribute.Bool("good", err == nil)))
	if err != nil {
		logger.ErrorContext(ctx, "configuration not reloaded: the last good one stays in force", "file", l.opts.ConfigFile, "error", err.Error())
		return l.paths
	}
	logger.InfoContext(ctx, "configuration reloaded", "file", l.opts.ConfigFile)
	if !reflect.DeepEqual(cfg.Listen, before.Listen) || cfg.Admin != before.Admin {
		logger.WarnContext(ctx, "listen and admin have changed: that takes effect when the service is started again", "file", l.opts.ConfigFile)
	}
	return l.paths
}
