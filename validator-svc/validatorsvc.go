// Package validatorsvc is the service that accepts or refuses objects: by ValidatingAdmissionPolicies from
// files, evaluated as kube-apiserver evaluates them, and by rules that look at other objects of the cluster.
package validatorsvc

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/admin"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/reload"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// Name is the service's name in logs and telemetry.
const Name = "validator"

// Options say how the service is run. The zero value of each field has the meaning that is written there.
type Options struct {
	// ConfigFile is read, and watched with the files of policies that it names: a change that is good
	// takes effect, one that is not is logged and changes nothing.
	ConfigFile string
	// Config is used instead of ConfigFile, and nothing is watched. It must have its defaults set and be
	// valid; it is not changed.
	Config *Config
	// Cluster knows the namespaces, what policies take params from, who may do what, and the objects that
	// validators follow. It is run by whoever made it. Nil: opened from Source.
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
// configuration or a policy cannot be used the error wraps a config.Problems.
func Run(ctx context.Context, opts Options) (err error) {
	if (opts.ConfigFile == "") == (opts.Config == nil) {
		return errors.New("running the validator: set either ConfigFile or Config")
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
	if opts.Cluster == nil {
		opts.Cluster, err = source(cfg, opts.Source).Open(watched(cfg, opts))
		if err != nil {
			return fmt.Errorf("opening the cluster's state: %w", err)
		}
		tasks = append(tasks, opts.Cluster.Run)
	}
	follower.Also(cfg.Policy.Paths...)
	validators, err := newHandlers(cfg, opts)
	if err != nil {
		return err
	}
	defer validators.close()
	if err := validators.use(ctx, cfg); err != nil {
		return err
	}
	serving := sdk.Config{
		Name:       Name,
		Listen:     cfg.Listen,
		Listener:   opts.Listener,
		Admin:      cfg.Admin,
		Validators: validators.served(),
		Ready:      []admin.Check{{Name: "cluster", Check: opts.Cluster.Ready}},
		SelfTest:   sdk.SelfTestDeletion(), // of which quota and snapshot have nothing to say
		Telemetry:  opts.Telemetry,
	}
	if opts.Listener != nil {
		serving.Listen, serving.Admin = config.Listen{}, config.Admin{}
	}
	tasks = append(tasks,
		func(ctx context.Context) error { return follower.Run(ctx, validators.reload) },
		func(ctx context.Context) error { return sdk.Serve(ctx, serving) },
	)
	if err := run.Tasks(ctx, tasks...); err != nil {
		return fmt.Errorf("running the validator: %w", err)
	}
	return nil
}
