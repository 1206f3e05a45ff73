package gateway

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk/cluster"
	sdkconfig "github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"

	"github.com/gatefold/gatefold/gateway/internal/backend"
	"github.com/gatefold/gatefold/gateway/internal/config"
	"github.com/gatefold/gatefold/gateway/internal/fold"
	"github.com/gatefold/gatefold/gateway/internal/observe"
	"github.com/gatefold/gatefold/gateway/internal/pipeline"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// builder makes plans of configurations. What backends have of their own is kept from one plan to the next, so
// that a reload costs no connection, and opens no breaker, that it does not change.
type builder struct {
	cluster    *cluster.Cluster
	compiler   *route.Compiler
	recorder   *observe.Recorder
	clients    *clients
	isolations map[isolationKey]*backend.Isolation
}

// isolationKey is everything that an isolation depends on, and what makes a backend another one.
type isolationKey struct {
	backendType, name, endpoint string
	limit                       int32
	timeout                     time.Duration
}

func newBuilder(opts Options, tel *telemetry.Telemetry, state *cluster.Cluster, recorder *observe.Recorder) *builder {
	return &builder{
		cluster:    state,
		compiler:   route.NewCompiler(),
		recorder:   recorder,
		clients:    newClients(opts.DialInproc, tel, state),
		isolations: map[isolationKey]*backend.Isolation{},
	}
}

// build returns the plan of a valid configuration. The error lists every selector and condition that
// cannot be used; nothing has changed then.
func (b *builder) build(cfg *Config) (*pipeline.Plan, error) {
	matchers, errs := compile(b.compiler, cfg)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	for i := range matchers {
		if matchers[i].NeedsNamespaces() && !b.cluster.Known() {
			return nil, fmt.Errorf("%w: backend %q has a namespaceSelector, but this gate knows no namespaces: start it with --kubeconfig or --objects, or in a cluster",
				sdkconfig.ErrUnusable, cfg.Backends[i].Name)
		}
	}
	orders := map[string][]int{}
	for _, kind := range []string{config.Mutator, config.Validator} {
		if orders[kind], errs = config.Order(cfg.Backends, kind); len(errs) > 0 {
			return nil, errs.ToAggregate()
		}
	}
	connections, err := b.clients.connect(cfg.Backends)
	if err != nil {
		return nil, err
	}
	plan := &pipeline.Plan{}
	isolations := map[isolationKey]*backend.Isolation{}
	for _, order := range orders {
		for _, i := range order {
			spec := &cfg.Backends[i]
			isolated := b.isolate(spec, isolations).Around(connections[i])
			add(plan, &pipeline.Backend{
				Name:     spec.Name,
				Handler:  spec.Handler,
				Required: spec.Required(),
				Timeout:  spec.Timeout(),
				Matcher:  matchers[i],
				Guard:    fold.NewGuard(spec.MayPatch),
				Observed: fold.NewObserved(spec.Observes),
			}, spec, isolated)
		}
	}
	for key, unused := range b.isolations {
		if isolations[key] == nil {
			unused.Close()
		}
	}
	b.isolations = isolations
	return plan, nil
}

// add puts a backend into its list of the plan.
func add(plan *pipeline.Plan, entry *pipeline.Backend, spec *Backend, asker backend.Asker) {
	live, shadows := &plan.Mutators, &plan.ShadowMutators
	if spec.Type == config.Mutator {
		entry.Mutator = asker
	} else {
		entry.Validator = asker
		live, shadows = &plan.Validators, &plan.ShadowValidators
	}
	if spec.Shadow() {
		live = shadows
	}
	*live = append(*live, entry)
}

// isolate returns the isolation of spec, the one there is where nothing about it has changed.
func (b *builder) isolate(spec *Backend, isolations map[isolationKey]*backend.Isolation) *backend.Isolation {
	key := isolationKey{spec.Type, spec.Name, spec.Endpoint, *spec.MaxConcurrentCalls, spec.Timeout()}
	isolation := b.isolations[key]
	if isolation == nil {
		isolation = backend.NewIsolation(backend.IsolationConfig{
			Limit: int(key.limit), Timeout: key.timeout, Changed: func(open bool) { b.recorder.Breaker(spec.Name, open) },
		})
	}
	isolations[key] = isolation
	return isolation
}

// compile returns the matcher of each backend of cfg, and what is wrong with their selectors and conditions.
func compile(compiler *route.Compiler, cfg *Config) ([]*route.Matcher, field.ErrorList) {
	var errs field.ErrorList
	matchers := make([]*route.Matcher, len(cfg.Backends))
	for i := range cfg.Backends {
		spec, path := &cfg.Backends[i], field.NewPath("backends").Index(i)
		matcher, matcherErrs := compiler.Compile(route.Spec{
			Name:              spec.Name,
			Rules:             spec.Rules,
			MatchPolicy:       *spec.MatchPolicy,
			NamespaceSelector: spec.NamespaceSelector,
			ObjectSelector:    spec.ObjectSelector,
			MatchConditions:   spec.MatchConditions,
		}, path)
		errs = append(errs, matcherErrs...)
		matchers[i] = matcher
	}
	return matchers, errs
}
