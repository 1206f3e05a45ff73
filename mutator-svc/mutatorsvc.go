// Package mutatorsvc is the service that changes objects: it gives pods their cloud identity, stamps labels and
// annotations, and evaluates MutatingAdmissionPolicies from files as kube-apiserver evaluates them.
package mutatorsvc

import (
	"context"
	"errors"
	"fmt"
	"net"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/admin"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/reload"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// Name is the service's name in logs and telemetry.
const Name = "mutator"

// scope is the name of the service's meter.
const scope = "github.com/gatefold/gatefold/mutator-svc"

// Options say how the service is run. The zero value of each field has the meaning that is written there.
type Options struct {
	// ConfigFile is read and watched: a change that is good takes effect, one that is not is logged and
	// changes nothing.
	ConfigFile string
	// Config is used instead of ConfigFile, and nothing is watched. It must have its defaults set and be
	// valid; it is not changed.
	Config *Config
	// Cluster knows the ServiceAccounts, the namespaces, what policies take params from, who may do what, and the
	// schemas of kinds. It is run by whoever made it. Nil: opened from Source.
	Cluster *cluster.Cluster
	// Source says where the cluster's state comes from; used when Cluster is nil.
	Source cluster.Source
	// Listener makes the service part of another process: it is served in plain text, and listen and admin
	// of the configuration are not used. Run closes it.
	Listener net.Listener
	// Telemetry is used, and not shut down. Nil: Run sets up its own from the environment.
	Telemetry *telemetry.Telemetry
	// Version is told by telemetry.
	Version string
}

// Run serves until ctx is done and the calls in flight are answered; it then returns nil. When the
// configuration cannot be used the error is, or wraps, a config.Problems.
func Run(ctx context.Context, opts Options) (err error) {
	if (opts.ConfigFile == "") == (opts.Config == nil) {
		return errors.New("running the mutator: set either ConfigFile or Config")
	}
	if opts.Telemetry == nil {
		opts.Telemetry, err = telemetry.New(ctx, telemetry.Config{Service: Name, Version: opts.Version})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, opts.Telemetry.Shutdown(ctx)) }()
	}
	follower, err := reload.New(opts.ConfigFile, opts.Telemetry)
	if err != nil {
		return err
	}
	defer follower.Close()
	cfg := opts.Config
	if cfg == nil {
		if cfg, err = LoadConfig(opts.ConfigFile); err != nil {
			return err
		}
	}
	var tasks []func(context.Context) error
	state := opts.Cluster
	if state == nil {
		state, err = opts.Source.Open(watched(cfg, opts))
		if err != nil {
			return fmt.Errorf("opening the cluster's state: %w", err)
		}
		tasks = append(tasks, state.Run)
	}
	from, err := sources(cfg, state, opts)
	if err != nil {
		return err
	}
	follower.Also(cfg.files(cfg.Mutators...)...)
	mutators := &handlers{file: opts.ConfigFile, config: cfg, from: from, logger: opts.Telemetry.Logger}
	if cfg.serves(Policy) {
		policies, schemas, err := newPolicies(state)
		if err != nil {
			return err
		}
		mutators.policies = policies
		if schemas != nil {
			tasks = append(tasks, schemas)
		}
	}
	defer mutators.close()
	if err := mutators.start(ctx); err != nil {
		return err
	}
	serving := sdk.Config{
		Name:      Name,
		Listen:    cfg.Listen,
		Listener:  opts.Listener,
		Admin:     cfg.Admin,
		Mutators:  mutators.served(),
		Ready:     []admin.Check{{Name: "cluster", Check: state.Ready}},
		SelfTest:  selfTest(cfg),
		Telemetry: opts.Telemetry,
	}
	if opts.Listener != nil {
		serving.Listen, serving.Admin = config.Listen{}, config.Admin{}
	}
	tasks = append(tasks,
		func(ctx context.Context) error { return follower.Run(ctx, mutators.reload) },
		func(ctx context.Context) error { return sdk.Serve(ctx, serving) },
	)
	if err := run.Tasks(ctx, tasks...); err != nil {
		return fmt.Errorf("running the mutator: %w", err)
	}
	return nil
}

// selfTest is the request that every handler must answer before the service is ready. Rules of labels may
// rightly fail for a namespace that nobody has labelled, and policies for whatever they are about; a process that
// serves them is asked about a deletion, which concerns none of them. Identity alone is asked for a pod, and has to
// look up its ServiceAccount.
func selfTest(cfg *Config) *admissionv1.AdmissionRequest {
	if cfg.serves(Labels) || cfg.serves(Policy) {
		return sdk.SelfTestDeletion()
	}
	return sdk.SelfTestRequest()
}
