// Package identity gives pods the identity of their ServiceAccount, in clouds and wherever else OpenID
// Connect is understood: without secrets, by projected ServiceAccount tokens. Each relying party is a
// profile with its own rules, in a package of its own.
package identity

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// ServiceAccounts finds ServiceAccounts.
type ServiceAccounts interface {
	// Get returns the ServiceAccount, or an error for which apierrors.IsNotFound tells that there is
	// none, not even after waiting for it for grace. Any other error means that it could not be found
	// out. What is returned is shared: it must not be changed.
	Get(ctx context.Context, namespace, name string, grace time.Duration) (*corev1.ServiceAccount, error)
}

// Sources are where profiles look things up.
type Sources struct {
	// ServiceAccounts is always used.
	ServiceAccounts ServiceAccounts
	// Roles are used where the configuration names a ConfigMap with roles. One is for all Mutators that come
	// one after the other: it keeps what was last read of the ConfigMap. Nil: no configuration names one.
	Roles *aws.Roles
	// ServerVersion asks kube-apiserver for its version. Nil: the cluster is not live; it is taken as new
	// enough for everything.
	ServerVersion func(ctx context.Context) (*version.Info, error)
	// Logger is told what is wrong with what was looked up. Nil: nobody is.
	Logger *slog.Logger
}

// injector is a profile.
type injector interface {
	// Inject adds to out what the pod needs. An error means that the question could not be answered.
	Inject(req *profile.Request, out *profile.Answer) error
}

// Mutator injects identities into pods.
type Mutator struct {
	serviceAccounts ServiceAccounts
	grace           time.Duration
	serverVersion   func(ctx context.Context) (*version.Info, error)
	profiles        []injector // in the order in which they inject
}

// New returns a Mutator. cfg has its defaults and is valid; an error is about a file that it names.
func New(cfg Config, from Sources) (*Mutator, error) {
	if from.Logger == nil {
		from.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Mutator{serviceAccounts: from.ServiceAccounts, serverVersion: from.ServerVersion}
	if cfg.AWS != nil {
		p, err := aws.New(*cfg.AWS, from.Roles, from.Logger)
		if err != nil {
			return nil, err
		}
		m.grace, m.profiles = cfg.AWS.LookupGracePeriod.Duration, append(m.profiles, p)
	}
	if cfg.Azure != nil {
		m.profiles = append(m.profiles, azure.New(*cfg.Azure))
	}
	if cfg.Google != nil {
		p, err := google.New(*cfg.Google)
		if err != nil {
			return nil, err
		}
		m.profiles = append(m.profiles, p)
	}
	if cfg.Tokens != nil {
		m.profiles = append(m.profiles, tokens.New(*cfg.Tokens))
	}
	return m, nil
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
	asked := &profile.Request{
		Pod: p,
		// The object need not carry its namespace yet.
		Namespace:      req.GetNamespace(),
		ServiceAccount: p.ServiceAccount(),
		Lookup:         m.lookup(ctx, req.GetNamespace()),
	}
	if m.serverVersion != nil {
		asked.ServerVersion = func() (*version.Info, error) { return m.serverVersion(ctx) }
	}
	var answer profile.Answer
	for _, one := range m.profiles {
		if err := one.Inject(asked, &answer); err != nil {
			return nil, err
		}
		if answer.Denied() {
			break
		}
	}
	answer.Finish()
	return answer.Mutation(), nil
}

// lookup returns a function that looks up a ServiceAccount when it is first called.
func (m *Mutator) lookup(ctx context.Context, namespace string) func(name string) (*corev1.ServiceAccount, error) {
	var found struct {
		looked bool
		sa     *corev1.ServiceAccount
		err    error
	}
	return func(name string) (*corev1.ServiceAccount, error) {
		if !found.looked {
			found.looked = true
			if found.sa, found.err = m.serviceAccounts.Get(ctx, namespace, name, m.grace); found.err != nil {
				found.err = fmt.Errorf("looking up ServiceAccount %s/%s: %w", namespace, name, found.err)
			}
		}
		return found.sa, found.err
	}
}

func createsPod(req *sdk.Request) bool {
	resource := req.GetResource()
	return req.GetOperation() == admissionv1.Operation_OPERATION_CREATE &&
		resource.GetGroup() == "" && resource.GetResource() == "pods" && req.GetSubResource() == ""
}
