// Package stack runs the gate and its services in one process, joined by in-memory gRPC.
package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/config"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

// Config is the content of one configuration file.
type Config struct {
	// File is the path of the file.
	File string
	// Gateway is nil only in what LoadAny returns.
	Gateway *gateway.Config
	// Mutator and Validator are nil when the file has no such document.
	Mutator   *mutatorsvc.Config
	Validator *validatorsvc.Config
}

// Load reads a configuration file with a GatewayConfig and, where its backends are to run in the same
// process, a MutatorConfig and a ValidatorConfig. All problems are reported together.
func Load(file string) (*Config, error) {
	c, err := LoadAny(file)
	if err != nil || c.Gateway != nil {
		return c, err
	}
	return nil, config.Problems{{File: file, Line: 1, Message: "no document of kind GatewayConfig, only of services; add one"}}
}

// LoadAny is Load for a file that need not have a GatewayConfig, as that of a service alone. Gateway is nil then.
func LoadAny(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	c := &Config{File: file}
	var problems [3]error
	if has(data, config.GatewayConfig) || !has(data, config.MutatorConfig) && !has(data, config.ValidatorConfig) {
		c.Gateway, problems[0] = gateway.ParseConfig(file, data)
	}
	if has(data, config.MutatorConfig) {
		c.Mutator, problems[1] = config.Parse[mutatorsvc.Config](file, data, config.MutatorConfig)
	}
	if has(data, config.ValidatorConfig) {
		c.Validator, problems[2] = config.Parse[validatorsvc.Config](file, data, config.ValidatorConfig)
	}
	if err := merge(problems[:]); err != nil {
		return nil, err
	}
	return c, nil
}

// has tells whether a stream of YAML documents has one of a kind. What is wrong with the stream is for
// the parser to say.
func has(data []byte, kind string) bool {
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc struct{ Kind string }
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) || err != nil && !isTypeError(err) {
			return false
		}
		if doc.Kind == kind {
			return true
		}
	}
}

func isTypeError(err error) bool {
	_, ok := errors.AsType[*yaml.TypeError](err)
	return ok
}

// merge joins the problems of the three kinds by line; what is wrong with the file as a whole is found
// once for each.
func merge(errs []error) error {
	var all config.Problems
	for _, err := range errs {
		problems, ok := errors.AsType[config.Problems](err)
		if err != nil && !ok {
			return err
		}
		for _, p := range problems {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	all.Sort()
	return all
}

// inproc begins the endpoints of backends in the same process.
const inproc = "inproc://"

// away names a backend that cannot run in this process.
type away struct{ backendType, handler string }

// offline changes the configuration so that nothing outside this process is asked: every backend
// becomes one in the same process, wherever it is in production. It returns the endpoints of webhooks, and
// of those whose handler the file does not serve.
func (c *Config) offline() map[away]string {
	endpoints := map[away]string{}
	for i := range c.Gateway.Backends {
		b := &c.Gateway.Backends[i]
		if b.Webhook() {
			b.Handler = b.Endpoint // its name may be that of a handler of this process, which is another
		}
		if !c.serves(b.Type, b.Handler) {
			endpoints[away{b.Type, b.Handler}] = b.Endpoint
		}
		b.Endpoint = inproc + b.Name
		b.TLS, b.CABundle, b.BearerTokenFile, b.AdmissionReviewVersions = nil, nil, "", nil
	}
	return endpoints
}

// served names the handlers of this file's service for backends of a type.
func (c *Config) served(backendType string) []string {
	switch {
	case backendType == gateway.Mutator && c.Mutator != nil:
		return c.Mutator.Mutators
	case backendType == gateway.Validator && c.Validator != nil:
		return c.Validator.Validators
	}
	return nil
}

// serves tells whether a service of this file answers for a backend.
func (c *Config) serves(backendType, handler string) bool {
	return slices.Contains(c.served(backendType), handler)
}

// unserved says that nothing in this file answers for a backend. One with an inproc endpoint was meant to be
// answered: the endpoint's host looks like the handler, and is not.
func (c *Config) unserved(b away, endpoint string) string {
	text := fmt.Sprintf("no %sConfig in %s serves %q", b.backendType, c.File, b.handler)
	if !strings.HasPrefix(endpoint, inproc) {
		return text
	}
	if served := c.served(b.backendType); len(served) > 0 {
		text += fmt.Sprintf(", only %s; say which with handler", strings.Join(served, ", "))
	}
	return text
}

// Notes says of each backend in this process that no service of this file answers for it. Who asks for it gets
// an error.
func (c *Config) Notes() []string {
	var notes []string
	for _, b := range c.Gateway.Backends {
		if strings.HasPrefix(b.Endpoint, inproc) && !c.serves(b.Type, b.Handler) {
			notes = append(notes, fmt.Sprintf("backend %q: %s", b.Name, c.unserved(away{b.Type, b.Handler}, b.Endpoint)))
		}
	}
	return notes
}
