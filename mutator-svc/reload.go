package mutatorsvc

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
)

// handlers are the mutators that the service serves, as the configuration in force makes them.
type handlers struct {
	file            string                   // empty: the configuration was given
	config          *Config                  // as the service was started
	serviceAccounts identity.ServiceAccounts // nil where identity is not served
	mutators        map[string]*replaceable
}

// replaceable is a mutator that is replaced while it is asked.
type replaceable struct{ current atomic.Pointer[sdk.Mutator] }

// Mutate asks the mutator that is in force.
func (r *replaceable) Mutate(ctx context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	return (*r.current.Load()).Mutate(ctx, req)
}

// newHandlers returns the mutators of cfg.
func newHandlers(file string, cfg *Config, serviceAccounts identity.ServiceAccounts) (*handlers, error) {
	h := &handlers{file: file, config: cfg, serviceAccounts: serviceAccounts, mutators: map[string]*replaceable{}}
	for _, name := range cfg.Mutators {
		h.mutators[name] = &replaceable{}
	}
	return h, h.use(cfg)
}

// served is what sdk.Serve serves.
func (h *handlers) served() map[string]sdk.Mutator {
	served := map[string]sdk.Mutator{}
	for name, mutator := range h.mutators {
		served[name] = mutator
	}
	return served
}

// use puts cfg in force, all of it or, with an error, nothing.
func (h *handlers) use(cfg *Config) error {
	stamp, err := labels.New(cfg.Labels)
	if err != nil {
		return err
	}
	made := map[string]sdk.Mutator{Labels: stamp, Identity: identity.New(cfg.Identity, h.serviceAccounts)}
	for name, mutator := range h.mutators {
		next := made[name]
		mutator.current.Store(&next)
	}
	return nil
}

// reload is a reload.Apply.
func (h *handlers) reload(context.Context, func(...string)) (restart string, err error) {
	cfg, err := LoadConfig(h.file)
	if err != nil {
		return "", err
	}
	if err := h.use(cfg); err != nil {
		return "", err
	}
	if !reflect.DeepEqual(cfg.Listen, h.config.Listen) || cfg.Admin != h.config.Admin || !slices.Equal(cfg.Mutators, h.config.Mutators) {
		restart = "listen, admin or mutators"
	}
	return restart, nil
}
