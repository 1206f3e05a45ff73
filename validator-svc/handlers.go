package validatorsvc

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/gatefold/gatefold/policy/validating"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/validator-svc/internal/quota"
	"github.com/gatefold/gatefold/validator-svc/internal/snapshot"
)

// handlers are the validators that the service serves, each nil where it is not served, as the configuration in
// force makes them.
type handlers struct {
	file     string  // empty: the configuration was given
	config   *Config // as the service was started
	policies *policies
	quotas   *quotas
	snapshot *snapshot.Validator
	logger   *slog.Logger
}

// newHandlers makes those that cfg names, with nothing in force. What they follow of the cluster is followed until
// close.
func newHandlers(cfg *Config, opts Options) (*handlers, error) {
	h := &handlers{file: opts.ConfigFile, config: cfg, logger: opts.Telemetry.Logger}
	// Where nothing is known of the cluster, that there is no other object would be a guess.
	if cfg.looksAround() && !opts.Cluster.Known() {
		return nil, fmt.Errorf("%w: quota and snapshot look at other objects of the cluster: start the validator with --kubeconfig or --objects, or in a cluster", config.ErrUnusable)
	}
	var err error
	if cfg.serves(Policy) {
		if h.policies, err = newPolicies(opts.Cluster); err != nil {
			return nil, err
		}
	}
	if cfg.serves(Quota) {
		h.quotas = &quotas{from: quota.From{Follower: opts.Cluster, Namespaces: opts.Cluster, Logger: h.logger}}
	}
	if cfg.serves(Snapshot) {
		if h.snapshot, err = snapshot.New(*cfg.Snapshot, opts.Cluster); err != nil {
			return nil, fmt.Errorf("making the validator snapshot: %w", err)
		}
	}
	return h, nil
}

// served is what sdk.Serve serves.
func (h *handlers) served() map[string]sdk.Validator {
	served := map[string]sdk.Validator{}
	if h.policies != nil {
		served[Policy] = h.policies
	}
	if h.quotas != nil {
		served[Quota] = h.quotas
	}
	if h.snapshot != nil {
		served[Snapshot] = h.snapshot
	}
	return served
}

// close ends what the validators follow.
func (h *handlers) close() {
	if h.policies != nil {
		h.policies.inForce.Close()
	}
	if h.quotas != nil {
		h.quotas.close()
	}
	if h.snapshot != nil {
		h.snapshot.Close()
	}
}

// use puts cfg in force, all of it or, with an error, nothing.
func (h *handlers) use(ctx context.Context, cfg *Config) error {
	var set *validating.Set
	var err error
	if h.policies != nil {
		if set, err = h.policies.load(cfg.Policy); err != nil {
			return err
		}
	}
	if h.quotas != nil && len(cfg.Quota.Rules) > 0 { // none: they stay until the start that takes quota off
		if err := h.quotas.use(ctx, cfg.Quota); err != nil {
			if set != nil {
				set.Close()
			}
			return err
		}
	}
	if set != nil { // last: nothing is in force of a configuration that cannot be used as a whole
		h.policies.inForce.Use(ctx, set, h.logger)
	}
	return nil
}

// reload is a reload.Apply. The policies' files are watched also when they cannot be used yet.
func (h *handlers) reload(ctx context.Context, watch func(paths ...string)) (restart string, err error) {
	cfg, err := LoadConfig(h.file)
	if err != nil {
		return "", err
	}
	watch(cfg.Policy.Paths...)
	if err := h.use(ctx, cfg); err != nil {
		return "", err
	}
	switch {
	case !reflect.DeepEqual(cfg.Listen, h.config.Listen) || cfg.Admin != h.config.Admin:
		restart = "listen or admin"
	case !slices.Equal(cfg.Validators, h.config.Validators):
		restart = "validators"
	case !reflect.DeepEqual(cfg.Snapshot, h.config.Snapshot):
		restart = "snapshot"
	}
	return restart, nil
}
