package casetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/stack"
	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/config"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

// The kinds that decide which of the services are asked.
const (
	mutatingKind   = "MutatingAdmissionPolicy"
	validatingKind = "ValidatingAdmissionPolicy"
)

// timeout is that of a backend, in seconds: the longest there is. A slow machine is no failure of a policy.
const timeout = 30

// target is what cases are tried on: the gate, its services and the state of the cluster.
type target struct {
	// key is the same for targets that behave the same.
	key string
	// policies are those under test; only of a test of policies.
	policies []manifest.Object
	// objects are the state of the cluster.
	objects []manifest.Object
	// doc has the rest.
	doc *document
}

// newTarget returns what case i of a document is tried on.
func newTarget(d *document, policies, objects []manifest.Object) *target {
	hash := sha256.New()
	add := func(kind string, parts ...string) {
		for _, part := range parts {
			fmt.Fprintf(hash, "%s %d %s\n", kind, len(part), part)
		}
	}
	for _, o := range policies {
		add("policy", o.Source, string(o.Root.JSON()))
	}
	for _, o := range objects {
		add("object", string(o.Root.JSON()))
	}
	for _, name := range []string{"mutator", "validator"} {
		if n := d.at(name); n != nil {
			add(name, filepath.Dir(d.file), string(n.JSON())) // the folder: the paths in it are seen from there
		}
	}
	add("config", d.Config)
	return &target{key: string(hash.Sum(nil)), policies: policies, objects: objects, doc: d}
}

// remembers tells whether what is tested answers one case by what it was asked in another, so that each needs a
// gate of its own.
func (d *document) remembers() bool {
	validator := d.Validator
	if d.Config != "" {
		if cfg, err := stack.Load(d.Config); err == nil { // or else no case will be run, and is told why
			validator = cfg.Validator
		}
	}
	return validator != nil && validator.Remembers()
}

// config returns the configuration of the gate and its services. It writes policies to dir; origins says where
// they come from.
func (t *target) config(dir string) (cfg *stack.Config, from origins, err error) {
	switch {
	case t.doc.Config != "":
		cfg, err = stack.Load(t.doc.Config)
		return cfg, nil, err
	case len(t.doc.Policies) > 0:
		return t.policyConfig(dir)
	}
	cfg = &stack.Config{File: t.doc.file, Mutator: t.doc.Mutator, Validator: t.doc.Validator}
	cfg.Gateway = gate(cfg)
	return cfg, nil, nil
}

// policyConfig serves the policies among the target's with the service of their kind.
func (t *target) policyConfig(dir string) (*stack.Config, origins, error) {
	from, err := write(dir, t.policies)
	if err != nil {
		return nil, nil, err
	}
	has := func(kind string) bool {
		return slices.ContainsFunc(t.policies, func(o manifest.Object) bool { return o.Kind() == kind })
	}
	cfg := &stack.Config{File: t.doc.file}
	if has(mutatingKind) {
		if cfg.Mutator, err = serving[mutatorsvc.Config](config.MutatorConfig, dir); err != nil {
			return nil, nil, err
		}
	}
	if has(validatingKind) {
		if cfg.Validator, err = serving[validatorsvc.Config](config.ValidatorConfig, dir); err != nil {
			return nil, nil, err
		}
	}
	if cfg.Mutator == nil && cfg.Validator == nil {
		return nil, nil, t.doc.problem("there is no "+validatingKind+" and no "+mutatingKind+" in these files", "policies")
	}
	cfg.Gateway = gate(cfg)
	return cfg, from, nil
}

// serving returns the configuration of a service that evaluates the policies in a folder.
func serving[T any, P interface {
	*T
	config.Document
}](kind, dir string) (P, error) {
	// A map of texts: it cannot fail to be written.
	text, _ := json.Marshal(map[string]any{"apiVersion": config.APIVersion, "kind": kind, "policy": map[string]any{"paths": []string{dir}}})
	return config.Parse[T, P]("policies", text, kind)
}

// gate is one that asks all that the services serve about every request.
func gate(cfg *stack.Config) *gateway.Config {
	g := &gateway.Config{Backends: []gateway.Backend{}}
	var validators []string
	if cfg.Validator != nil {
		validators = cfg.Validator.Validators
	}
	add := func(backendType, name, handler string) {
		seconds := int32(timeout)
		g.Backends = append(g.Backends, gateway.Backend{
			Name: name, Type: backendType, Endpoint: "inproc://" + name, Handler: handler, TimeoutSeconds: &seconds,
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
			}},
		})
	}
	if cfg.Mutator != nil {
		for _, handler := range cfg.Mutator.Mutators {
			name := handler
			if slices.Contains(validators, handler) { // names are unique over both types
				name = "mutating-" + handler
			}
			add(gateway.Mutator, name, handler)
		}
	}
	for _, handler := range validators {
		add(gateway.Validator, handler, handler)
	}
	g.SetDefaults()
	return g
}

// origins says from which files of their author written files come.
type origins map[string]string

// write writes each policy into a file of its own in dir, in the lines in which its author wrote it. The services
// read files, and these stand for what is left of the author's when a case has put others in their places.
func write(dir string, policies []manifest.Object) (origins, error) {
	from := origins{}
	for i, o := range policies {
		path := filepath.Join(dir, fmt.Sprintf("%06d.yaml", i))
		if err := os.WriteFile(path, inPlace(o), 0o600); err != nil {
			return nil, fmt.Errorf("writing the policies of a test: %w", err)
		}
		from[path], _ = position(o)
	}
	return from, nil
}

// text returns a text with the author's files.
func (from origins) text(s string) string {
	for path, file := range from {
		s = strings.ReplaceAll(s, path, file)
	}
	return s
}

// problems returns what err is, with the author's files. An error that does not say where it is found is one of
// what is tested.
func (from origins) problems(err error, d *document) config.Problems {
	found, ok := errors.AsType[config.Problems](err)
	if !ok {
		if p, is := errors.AsType[config.Problem](err); is {
			return config.Problems{p}
		}
		for _, name := range []string{"policies", "config", "validator", "mutator"} {
			if d.at(name) != nil {
				return config.Problems{d.problem(from.text(err.Error()), name)}
			}
		}
	}
	out := make(config.Problems, len(found))
	for i, p := range found {
		p.File, p.Message = cmp.Or(from[p.File], p.File), from.text(p.Message)
		out[i] = p
	}
	out.Sort()
	return out
}
