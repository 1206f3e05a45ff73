package sdk

import (
	"errors"
	"fmt"
	"net"
	"time"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/admin"
	"github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

// DefaultDrainTimeout is how long Serve waits for calls in flight when Config does not say. It is well
// below the thirty seconds that Kubernetes gives a pod to end.
const DefaultDrainTimeout = 20 * time.Second

// Config is everything that Serve needs to know about a service.
type Config struct {
	// Name is the service's name in logs and telemetry.
	Name string
	// Listen is where to listen, and who is let in. Serving in plain text, or to anybody, must be said
	// with clientAuth mode None.
	Listen config.Listen
	// Listener is used instead of Listen.Address when set; Serve closes it. With it and without
	// Listen.TLS the service is in plain text: whoever made the listener knows who can reach it.
	Listener net.Listener
	// Admin is where health, metrics and version are served. An empty address: nowhere.
	Admin config.Admin
	// Mutators and Validators are what the service answers with, by the name that a backend's "handler"
	// (by default the backend's own name) calls them; a name that is not here is NOT_FOUND. One under the
	// empty name answers to every name that is not here: for a service with just one thing to say that
	// does not care what it is called. At least one of either.
	Mutators   map[string]Mutator
	Validators map[string]Validator
	// Ready must pass, beside the self-test, before the service says that it is ready.
	Ready []admin.Check
	// SelfTest is asked of every handler before the service is ready; a handler passes when it answers,
	// whatever it answers. Nil: SelfTestRequest. A service that cannot answer about pods sets its own.
	SelfTest *admissionv1.AdmissionRequest
	// DrainTimeout bounds the wait for calls in flight at the end; 0 means DefaultDrainTimeout.
	DrainTimeout time.Duration
	// Telemetry is used, and left running, when set. Nil: Serve sets it up from the environment and
	// shuts it down.
	Telemetry *telemetry.Telemetry
}

// validate says everything that is wrong with cfg.
func (cfg *Config) validate() error {
	var errs []error
	if len(cfg.Mutators)+len(cfg.Validators) == 0 {
		errs = append(errs, errors.New("no mutator and no validator: nothing to serve"))
	}
	for name, mutator := range cfg.Mutators {
		if mutator == nil {
			errs = append(errs, fmt.Errorf("mutator %q is nil", name))
		}
	}
	for name, validator := range cfg.Validators {
		if validator == nil {
			errs = append(errs, fmt.Errorf("validator %q is nil", name))
		}
	}
	if cfg.Listener == nil && cfg.Listen.Address == "" {
		errs = append(errs, errors.New("listen: no address"))
	}
	return errors.Join(append(errs, cfg.validateClients()...)...)
}

// validateClients refuses a service that lets in anybody without having been told to.
func (cfg *Config) validateClients() []error {
	auth, tls := cfg.Listen.ClientAuth, cfg.Listen.TLS
	switch {
	case auth == nil && tls == nil && cfg.Listener != nil:
		return nil
	case auth == nil:
		return []error{errors.New("listen.clientAuth: say which clients are let in, with caFile or mode: None")}
	case auth.Mode != config.None && auth.CAFile == "":
		return []error{errors.New("listen.clientAuth: set caFile, or mode: None to let in anybody")}
	case auth.Mode == config.None && (auth.CAFile != "" || len(auth.Subjects) > 0):
		return []error{errors.New("listen.clientAuth: mode None and caFile or subjects contradict each other")}
	case auth.CAFile != "" && tls == nil:
		return []error{errors.New("listen.tls: clients cannot be told apart without TLS; set certFile and keyFile")}
	}
	return nil
}
