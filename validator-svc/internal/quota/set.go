package quota

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/sdk/cluster"

	"github.com/gatefold/gatefold/validator-svc/internal/claim"
)

// Follower follows the objects of a kind, as *cluster.Cluster does.
type Follower interface {
	Follow(kind schema.GroupVersionKind, o cluster.FollowOptions) (*cluster.Objects, error)
}

// Namespaces knows the cluster's namespaces, as *cluster.Cluster does.
type Namespaces interface {
	// Namespace returns the namespace of that name, which is not changed; an error when it is not known.
	Namespace(ctx context.Context, name string) (*corev1.Namespace, error)
}

// From is what a Set needs of its program.
type From struct {
	Follower Follower
	// Namespaces is for requests that come without theirs. It must be set.
	Namespaces Namespaces
	// Logger is told of objects in the cluster that cannot be judged. Nil: nobody is.
	Logger *slog.Logger
}

// Set is a set of rules, with what they have counted. It is safe for concurrent use.
type Set struct {
	rules      []*rule
	namespaces Namespaces
}

// rule is a rule, the objects it is about and how many of them there are.
type rule struct {
	config  Rule
	matcher *matcher
	objects *cluster.Objects
	book    claim.Book
	logger  *slog.Logger
	told    atomic.Bool // of an object that cannot be judged
}

// New returns a set of the rules of c, which must be valid with its defaults set. It follows what they count until
// Close. Rules that are in before, which may be nil, are taken from there as they are, with what they know;
// closing the rest of it is then left to before.CloseExcept.
func New(c Config, from From, before *Set) (*Set, error) {
	matchers, bad := compileAll(&c, nil)
	if len(bad) > 0 {
		return nil, bad.ToAggregate()
	}
	s := &Set{namespaces: from.Namespaces}
	for i, config := range c.Rules {
		if same := before.find(config); same != nil {
			s.rules = append(s.rules, same)
			continue
		}
		r := &rule{config: config, matcher: matchers[i], logger: from.Logger}
		if err := r.follow(from.Follower); err != nil {
			s.CloseExcept(before)
			return nil, fmt.Errorf("rule %s: %w", config.Name, err)
		}
		s.rules = append(s.rules, r)
	}
	return s, nil
}

// find returns the rule that is configured so, or nil.
func (s *Set) find(config Rule) *rule {
	if s == nil {
		return nil
	}
	for _, r := range s.rules {
		if reflect.DeepEqual(r.config, config) {
			return r
		}
	}
	return nil
}

// CloseExcept ends the following for the rules that are not in other, which may be nil. What they are asked
// afterwards is an error.
func (s *Set) CloseExcept(other *Set) {
	for _, r := range s.rules {
		if other.find(r.config) != r {
			r.objects.Close()
		}
	}
}

// Ready returns nil when all rules know what they count, or else what is in the way.
func (s *Set) Ready() error {
	var errs []error
	for _, r := range s.rules {
		if err := r.objects.Ready(); err != nil {
			errs = append(errs, fmt.Errorf("rule %s: %w", r.config.Name, err))
		}
	}
	return errors.Join(errs...)
}

// follow begins to count.
func (r *rule) follow(follower Follower) error {
	objects, err := follower.Follow(r.matcher.kind, cluster.FollowOptions{MetadataOnly: r.matcher.metadataOnly})
	if err != nil {
		return err
	}
	if err := objects.Notify(r.show, r.gone); err != nil {
		objects.Close()
		return err
	}
	r.objects = objects
	return nil
}

// show takes in an object as it is in the cluster.
func (r *rule) show(obj any) {
	at := ""
	o, err := content(obj)
	if err == nil {
		var counts bool
		if counts, err = r.matcher.matches(context.Background(), o); counts {
			at = r.place(o.GetNamespace())
		}
	}
	if err != nil && r.logger != nil && !r.told.Swap(true) {
		r.logger.Warn("an object of the cluster cannot be judged and does not count", "rule", r.config.Name, "object", key(obj), "error", err)
	}
	r.book.Show(key(obj), at, uid(obj))
}

// gone takes in that an object is not in the cluster any more.
func (r *rule) gone(obj any) { r.book.Show(key(obj), "", "") }

// place is where the objects of a namespace are counted. It is never empty.
func (r *rule) place(namespace string) string {
	if r.config.Scope == Cluster {
		return "cluster"
	}
	return "namespace " + namespace
}

// key is what holder is to a request.
func key(obj any) string {
	o, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return o.GetNamespace() + "/" + o.GetName()
}

func uid(obj any) string {
	o, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return string(o.GetUID())
}

// content returns what a condition looks at.
func content(obj any) (*unstructured.Unstructured, error) {
	if o, ok := obj.(*unstructured.Unstructured); ok {
		return o, nil
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("reading metadata: %w", err)
	}
	return &unstructured.Unstructured{Object: fields}, nil
}
