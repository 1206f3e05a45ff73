// Package params finds the objects from which policies take their params.
package params

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"

	"github.com/gatefold/gatefold/policy/internal/document"
)

// param is an object that expressions see as params.
type param struct{ *unstructured.Unstructured }

// ToUnstructured gives CEL the object as it is. Without it, k8s.io/apiserver would write the object as
// JSON and read that again for each evaluation.
func (p *param) ToUnstructured() any { return p.Object }

// WithoutKind returns object, which may be nil, as mutations see it. A param of a built-in kind has no apiVersion and
// kind for them: kube-apiserver follows such objects as Go types, in which client-go leaves both empty. For
// validations it fills them in.
func WithoutKind(object runtime.Object) runtime.Object {
	p, ok := object.(*param)
	if !ok || !scheme.Scheme.Recognizes(p.GroupVersionKind()) {
		return object
	}
	content := maps.Clone(p.Object)
	delete(content, "apiVersion")
	delete(content, "kind")
	return &param{&unstructured.Unstructured{Object: content}}
}

// Fixed is a fixed set of objects of one kind, in the shape in which k8s.io/apiserver looks for params: an
// informer that has always synced.
type Fixed struct {
	cache.SharedIndexInformer // nil: of its methods only HasSynced may be called

	// Scope tells whether the kind is namespaced.
	Scope meta.RESTScope

	kind    schema.GroupKind
	objects []*param // by namespace and name, so that the same request gets the same answer
}

// HasSynced is always true: the objects came with the policies.
func (p *Fixed) HasSynced() bool { return true }

// Informer returns p, of which only HasSynced may be called.
func (p *Fixed) Informer() cache.SharedIndexInformer { return p }

// Lister lists the objects of all namespaces.
func (p *Fixed) Lister() cache.GenericLister { return lister{p.objects, p.kind} }

// lister lists objects of one kind.
type lister struct {
	objects []*param
	kind    schema.GroupKind
}

// List returns the objects whose labels match.
func (l lister) List(selector labels.Selector) ([]runtime.Object, error) {
	var found []runtime.Object
	for _, p := range l.objects {
		if selector.Matches(labels.Set(p.GetLabels())) {
			found = append(found, p)
		}
	}
	return found, nil
}

// Get returns the object of that name.
func (l lister) Get(name string) (runtime.Object, error) {
	for _, p := range l.objects {
		if p.GetName() == name {
			return p, nil
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: l.kind.Group, Resource: l.kind.Kind}, name)
}

// ByNamespace narrows the list to one namespace.
func (l lister) ByNamespace(namespace string) cache.GenericNamespaceLister {
	var within []*param
	for _, p := range l.objects {
		if p.GetNamespace() == namespace {
			within = append(within, p)
		}
	}
	return lister{within, l.kind}
}

// Empty tells whether there are no objects.
func (p *Fixed) Empty() bool { return len(p.objects) == 0 }

// Has tells whether an object of that namespace and name is among them.
func (p *Fixed) Has(namespace, name string) bool {
	return slices.ContainsFunc(p.objects, func(o *param) bool { return o.GetNamespace() == namespace && o.GetName() == name })
}

// OfKinds finds, for each of kinds, the objects among docs.
func OfKinds(kinds []v1.ParamKind, docs []*document.Document) (map[v1.ParamKind]*Fixed, config.Problems) {
	found := map[v1.ParamKind]*Fixed{}
	var problems config.Problems
	for _, kind := range kinds {
		if found[kind] != nil {
			continue
		}
		set, bad := paramsOf(kind, docs)
		found[kind] = set
		problems = append(problems, bad...)
	}
	return found, problems
}

func paramsOf(kind v1.ParamKind, docs []*document.Document) (*Fixed, config.Problems) {
	gvk := schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind)
	set := &Fixed{kind: gvk.GroupKind()}
	first := map[[2]string]*document.Document{}
	var problems config.Problems
	var own []*document.Document
	for _, d := range docs {
		if d.Object.GroupVersionKind() != gvk {
			continue
		}
		key := [2]string{d.Object.GetNamespace(), d.Object.GetName()}
		if before := first[key]; before != nil {
			problems = append(problems, d.Problem("metadata.name", "a second one, the first is at %s:%d; keep one of them", before.File, before.Line))
			continue
		}
		first[key] = d
		problems = append(problems, checkParam(d, gvk)...)
		own = append(own, d)
		set.objects = append(set.objects, &param{asServed(d.Object, gvk)})
	}
	slices.SortFunc(set.objects, func(a, b *param) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	scope, bad := scopeOf(gvk, own, docs)
	set.Scope = scope
	return set, append(problems, bad...)
}

// checkParam holds a param of a built-in kind against its Go type, as kube-apiserver would have done when
// it was created: a number in a ConfigMap's data is a mistake.
func checkParam(d *document.Document, gvk schema.GroupVersionKind) config.Problems {
	if d.Object.GetName() == "" {
		return config.Problems{d.Problem("metadata", "a param needs a name; write metadata.name")}
	}
	typed, err := scheme.Scheme.New(gvk)
	if err != nil {
		return nil //nolint:nilerr // a custom resource: anything goes
	}
	return d.Decode(typed)
}

// asServed returns an object of a built-in kind as kube-apiserver would give it out: quantities in their short
// form, and null in a field that has to be there. Any other is returned as it is, and so is one with mistakes.
func asServed(object *unstructured.Unstructured, gvk schema.GroupVersionKind) *unstructured.Unstructured {
	typed, err := scheme.Scheme.New(gvk)
	if err != nil {
		return object
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return object
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return object
	}
	served := &unstructured.Unstructured{Object: content}
	served.SetGroupVersionKind(gvk)
	return served
}

// scopeOf says whether params of a kind are namespaced. A cluster would know from discovery; here it is
// what a CustomResourceDefinition in the files says, or else whether the objects have a namespace.
func scopeOf(gvk schema.GroupVersionKind, own, all []*document.Document) (meta.RESTScope, config.Problems) {
	scope, sure := cluster.BuiltInScope(gvk.GroupKind())
	if !sure {
		scope = meta.RESTScopeNamespace
	}
	for _, d := range all {
		if kind, ok := d.Defines(); ok && kind == gvk.GroupKind() {
			declared, _, _ := unstructured.NestedString(d.Object.Object, "spec", "scope")
			if sure = true; declared == "Cluster" {
				scope = meta.RESTScopeRoot
			}
		}
	}
	if !sure && len(own) > 0 && own[0].Object.GetNamespace() == "" {
		scope = meta.RESTScopeRoot
	}
	var problems config.Problems
	for _, d := range own {
		namespaced := d.Object.GetNamespace() != ""
		switch {
		case namespaced && scope == meta.RESTScopeRoot:
			problems = append(problems, d.Problem("metadata.namespace", "other objects of this kind have no namespace; a kind is either namespaced or not"))
		case !namespaced && scope == meta.RESTScopeNamespace:
			problems = append(problems, d.Problem("metadata", "a param of kind %s needs a namespace; write metadata.namespace", gvk.Kind))
		}
	}
	return scope, problems
}

// Describe names the kind as a user writes it.
func Describe(kind v1.ParamKind) string { return fmt.Sprintf("%s %s", kind.APIVersion, kind.Kind) }
