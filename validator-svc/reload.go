package validatorsvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/validating"
)

// loader puts the policies and rules of the configuration in force.
type loader struct {
	file     string  // empty: the configuration was given
	config   *Config // as the service was started
	known    policy.Cluster
	policies *policies
	quotas   *quotas // nil: not served
	logger   *slog.Logger
}

// use loads the policies that cfg names and puts them in force, all of them or, with an error, none.
func (l *loader) use(ctx context.Context, cfg *Config) error {
	set, err := l.load(cfg)
	if err != nil {
		return err
	}
	l.put(ctx, set)
	return nil
}

// load loads the policies that cfg names; nil where none are served. The set is to be put in force or closed.
func (l *loader) load(cfg *Config) (*validating.Set, error) {
	if !l.config.serves(Policy) {
		return nil, nil
	}
	if len(cfg.Policy.Paths) == 0 { // everything would be let pass, and nobody would know
		return nil, errors.New("policy is served and has no paths any more: give it some, or take policy off the validators and start the program again")
	}
	set, err := validating.Loader{Cluster: l.known}.Load(cfg.Policy.Paths)
	if err != nil {
		return nil, fmt.Errorf("loading policies: %w", err)
	}
	return set, nil
}

func (l *loader) put(ctx context.Context, set *validating.Set) {
	if set != nil {
		l.policies.inForce.Use(ctx, set, l.logger)
	}
}

// reload is a reload.Apply. The policies' files are watched also when they cannot be used yet.
func (l *loader) reload(ctx context.Context, watch func(paths ...string)) (restart string, err error) {
	cfg, err := LoadConfig(l.file)
	if err != nil {
		return "", err
	}
	watch(cfg.Policy.Paths...)
	set, err := l.load(cfg)
	if err != nil {
		return "", err
	}
	if l.quotas != nil && len(cfg.Quota.Rules) > 0 {
		if err := l.quotas.use(ctx, cfg.Quota); err != nil {
			if set != nil {
				set.Close()
			}
			return "", err
		}
	}
	l.put(ctx, set) // last: nothing is in force of a configuration that cannot be used as a whole
	switch {
	case !reflect.DeepEqual(cfg.Listen, l.config.Listen) || cfg.Admin != l.config.Admin:
		restart = "listen or admin"
	case !slices.Equal(cfg.Validators, l.config.Validators):
		restart = "validators"
	case !reflect.DeepEqual(cfg.Snapshot, l.config.Snapshot):
		restart = "snapshot"
	}
	return restart, nil
}
