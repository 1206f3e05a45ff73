// Package identity gives pods the cloud identity of their ServiceAccount: without secrets, by a
// projected ServiceAccount token that the cloud's SDKs trade for credentials. Each cloud is a provider
// with its own rules, in a package of its own.
package identity

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// Config says which clouds' identities are given.
type Config struct {
	// AWS is IAM roles for service accounts.
	AWS *aws.Config `json:"aws,omitempty"`
}

// SetDefaults fills what was left out: with no cloud named, AWS with its defaults, which does nothing
// to a pod whose ServiceAccount names no role.
func (c *Config) SetDefaults() {
	if c.AWS == nil {
		c.AWS = &aws.Config{}
	}
	c.AWS.SetDefaults()
}

// Validate says what is wrong with c, which stands at at.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	return c.AWS.Validate(at.Child("aws"))
}

// ServiceAccounts finds ServiceAccounts.
type ServiceAccounts interface {
	// Get returns the ServiceAccount, or an error for which apierrors.IsNotFound tells that there is
	// none. Any other error means that it could not be found out.
	Get(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
}

// provider is one cloud.
type provider interface {
	Inject(p *pod.Pod, sa *corev1.ServiceAccount, patch *sdk.Patch) (warnings []string)
}

// Mutator injects identities into pods.
type Mutator struct {
	serviceAccounts ServiceAccounts
	providers       []provider // in the order in which they inject
}

// New returns a Mutator. cfg has its defaults and is valid.
func New(cfg Config, serviceAccounts ServiceAccounts) *Mutator {
	return &Mutator{serviceAccounts: serviceAccounts, providers: []provider{aws.New(*cfg.AWS)}}
}

// Mutate implements sdk.Mutator. It changes pods on their creation and nothing else: what it adds is
// immutable afterwards.
func (m *Mutator) Mutate(ctx context.Context, req *sdk.Request) (*sdk.Mutation, error) {
	if !createsPod(req) {
		return nil, nil
	}
	p, err := pod.Decode(req.GetObject())
	if err != nil {
		return nil, err
	}
	name := p.Spec.ServiceAccountName
	if name == "" {
		return nil, nil // a mirror pod: kubelet made it from a file, and it can have no token
	}
	// The namespace is the request's: the object need not carry it yet.
	sa, err := m.serviceAccounts.Get(ctx, req.GetNamespace(), name)
	if apierrors.IsNotFound(err) {
		// Nobody has an identity to give, which is an answer: the pod goes in as it is. It is seldom
		// the user's intention, so it is said aloud.
		return &sdk.Mutation{Warnings: []string{notFoundWarning(name)}}, nil
	}
	if err != nil {
		// Not knowing is not an answer. To admit the pod would be to pass a check that did not run, and
		// the pod would lack its identity for life; so the backend's failure policy decides.
		return nil, fmt.Errorf("looking up ServiceAccount %s/%s: %w", req.GetNamespace(), name, err)
	}
	mutation := &sdk.Mutation{}
	for _, provider := range m.providers {
		mutation.Warnings = append(mutation.Warnings, provider.Inject(p, sa, &mutation.Patch)...)
	}
	return mutation, nil
}

func createsPod(req *sdk.Request) bool {
	resource := req.GetResource()
	return req.GetOperation() == admissionv1.Operation_OPERATION_CREATE &&
		resource.GetGroup() == "" && resource.GetResource() == "pods" && req.GetSubResource() == ""
}

// notFoundWarning keeps below 120 bytes: a name may have 253.
func notFoundWarning(serviceAccount string) string {
	if len(serviceAccount) > 45 {
		serviceAccount = serviceAccount[:45] + "..."
	}
	return fmt.Sprintf("ServiceAccount %q not found; the pod got no cloud identity", serviceAccount)
}
