package mutatorsvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
)

// handlers are the mutators that the service serves, as the configuration in force makes them.
type handlers struct {
	file     string           // empty: the configuration was given
	config   *Config          // as the service was started
	inForce  *Config          // the last one that was good; only reload uses it
	from     identity.Sources // zero where identity is not served
	policies *policies        // nil where they are not served
	logger   *slog.Logger
	mutators map[string]*replaceable // the others
}

// replaceable is a mutator that is replaced while it is asked.
type replaceable struct{ current atomic.Pointer[sdk.Mutator] }

// Mutate asks the mutator that is in force.
func (r *replaceable) Mutate(ctx context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	return (*r.current.Load()).Mutate(ctx, req)
}

// start puts the mutators of the configuration in force, as those to serve from now on.
func (h *handlers) start(ctx context.Context) error {
	h.inForce, h.mutators = h.config, map[string]*replaceable{}
	for _, name := range h.config.Mutators {
		if name != Policy {
			h.mutators[name] = &replaceable{}
		}
	}
	return h.use(ctx, h.config)
}

// served is what sdk.Serve serves.
func (h *handlers) served() map[string]sdk.Mutator {
	served := map[string]sdk.Mutator{}
	for name, mutator := range h.mutators {
		served[name] = mutator
	}
	if h.policies != nil {
		served[Policy] = h.policies
	}
	return served
}

// close ends what the mutators follow.
func (h *handlers) close() {
	if h.policies != nil {
		h.policies.inForce.Close()
	}
}

// use puts cfg in force, all of it or, with an error, nothing.
func (h *handlers) use(ctx context.Context, cfg *Config) error {
	made := map[string]sdk.Mutator{}
	for name := range h.mutators {
		mutator, err := h.make(name, cfg)
		if err != nil {
			return err
		}
		made[name] = mutator
	}
	if h.policies != nil { // last: a set follows the cluster, and one that is not used would have to be closed
		set, err := h.policies.load(cfg.Policy)
		if err != nil {
			return err
		}
		h.policies.inForce.Use(ctx, set, h.logger)
	}
	for name, mutator := range made {
		h.mutators[name].current.Store(&mutator)
	}
	return nil
}

func (h *handlers) make(name string, cfg *Config) (sdk.Mutator, error) {
	switch name {
	case Identity:
		if cfg.Identity.Empty() { // pods would go without, and nobody would know
			return nil, errors.New("identity is served and has no profile any more: give it one, or take identity off the mutators and start the program again")
		}
		return identity.New(cfg.Identity, h.from)
	default:
		return labels.New(cfg.Labels)
	}
}

// reload is a reload.Apply. The files of the mutators are watched also when they cannot be used yet.
func (h *handlers) reload(ctx context.Context, watch func(paths ...string)) (restart string, err error) {
	cfg, err := LoadConfig(h.file)
	if err != nil {
		return "", err
	}
	watch(cfg.files(h.config.Mutators...)...)
	var changes []string
	if _, served := h.mutators[Identity]; served {
		if changes, err = h.confine(cfg); err != nil {
			return "", err
		}
	}
	if err := h.use(ctx, cfg); err != nil {
		return "", err
	}
	h.inForce = cfg
	if !reflect.DeepEqual(cfg.Listen, h.config.Listen) || cfg.Admin != h.config.Admin || !slices.Equal(cfg.Mutators, h.config.Mutators) {
		changes = append(changes, "listen, admin or mutators")
	}
	return strings.Join(changes, ", "), nil
}

// confine makes cfg do with what has been watched since the start. The fields where it had to are returned; an
// error means that it cannot be used so.
func (h *handlers) confine(cfg *Config) (fields []string, err error) {
	fields = cfg.Identity.Confine(&h.inForce.Identity, h.config.Identity.Watched())
	if len(fields) == 0 {
		return nil, nil
	}
	if cfg.Identity.Empty() {
		return nil, fmt.Errorf("no profile is left without %s, which takes a start of the program", strings.Join(fields, ", "))
	}
	// What was kept of the configuration in force may clash with what is new.
	if errs := cfg.Identity.Validate(field.NewPath("identity")); len(errs) > 0 {
		return nil, fmt.Errorf("%s takes a start of the program, and without that: %w", strings.Join(fields, ", "), errs.ToAggregate())
	}
	return fields, nil
}
