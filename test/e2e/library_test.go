package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// TestLibrary asks kube-apiserver the same twice, about the cases of the shipped policies: with a gate that
// decides by their files, and with the policies in the cluster. It hears the same verdict, code, message and
// warnings, and what the cases say; what is mutated comes out the same.
//
// The policies about snapshots are for definitions without rules of their own, as they were before version 8. What
// becomes of the cases with definitions that have them is asked at the end.
func TestLibrary(t *testing.T) {
	snapshots := newSnapshotDefinitions(t)
	sets := librarySets(t, snapshots.wide)
	w := newLibraryWorld(t)
	w.define(t, harness.WithoutRules(snapshots.all))
	w.keepParams(t)
	controls := map[*libraryCase]*unstructured.Unstructured{}
	for _, s := range sets {
		for _, c := range s.cases {
			controls[c] = w.before(t, c)
		}
	}
	gate := w.askGate(t, sets, controls)
	asked, unfit := 0, 0
	for _, s := range sets {
		t.Run(s.file+"/"+s.label, func(t *testing.T) {
			remove := w.apply(t, s.policies)
			defer remove()
			for _, c := range s.cases {
				if c.unfit != "" {
					unfit++
					t.Logf("%s cannot be asked about: %s", c.Name, c.unfit)
					continue
				}
				asked++
				t.Run(c.Name, func(t *testing.T) {
					eventually(t, func() error { return w.compare(s, c, w.ask(t, c), gate[c], controls[c]) })
				})
			}
		})
	}
	t.Logf("%d requests in %d sets of policies; of %d more the API itself takes no such object", asked, len(sets), unfit)
	if asked == 0 || unfit > 10 {
		t.Error("too few of the cases can be asked about")
	}
	w.define(t, snapshots.all)
	w.askSnapshots(t, sets)
}

// compare holds the cluster's answer against the gate's and the case's.
func (w *libraryWorld) compare(s *librarySet, c *libraryCase, answer, gate libraryAnswer, control *unstructured.Unstructured) error {
	if text := answer.misses(c); text != "" {
		return errors.New(text)
	}
	if text := answer.cameOut(control); text != "" {
		return errors.New(text)
	}
	if text := answer.differs(gate); text != "" {
		return errors.New(text)
	}
	return nil
}

// libraryWorld is a kube-apiserver that has no opinion of its own about pods and namespaces.
type libraryWorld struct {
	*world
	client *client
}

func newLibraryWorld(t *testing.T) *libraryWorld {
	t.Helper()
	// The first two would answer before a policy does; the third changes what a case says.
	w := newControlPlane(t, "PodSecurity", "NamespaceLifecycle", "ServiceAccount")
	return &libraryWorld{world: w, client: w.client(t, nil)}
}

func (w *libraryWorld) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	plural, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
	if ns := o.GetNamespace(); ns != "" {
		return w.client.dynamic.Resource(plural).Namespace(ns)
	}
	return w.client.dynamic.Resource(plural)
}

// before makes what is there before a case's request. It returns how the object is to come out, when the case
// says so: with the defaults of an API without policies.
func (w *libraryWorld) before(t *testing.T, c *libraryCase) *unstructured.Unstructured {
	t.Helper()
	ctx := t.Context()
	must(w.resource(c.namespace).Create(ctx, c.namespace, metav1.CreateOptions{}))(t)
	var control *unstructured.Unstructured
	if c.want != nil {
		control = strip(must(w.resource(c.want).Create(ctx, c.want, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}))(t))
	}
	if c.old != nil {
		if _, err := w.resource(c.old).Create(ctx, c.old, metav1.CreateOptions{}); apierrors.IsInvalid(err) || apierrors.IsNotFound(err) {
			c.unfit = err.Error() // not found: it is of a version that is not served
			return control
		} else if err != nil {
			t.Fatal(err)
		}
		if c.old.GetDeletionTimestamp() != nil || c.object != nil && c.object.GetDeletionTimestamp() != nil {
			if err := w.resource(c.old).Delete(ctx, c.old.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c.namespace.GetDeletionTimestamp() != nil {
		if err := w.resource(c.namespace).Delete(ctx, c.namespace.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if c.old != nil && c.object != nil { // or an update of what is of a definition is refused
		c.object.SetResourceVersion(must(w.resource(c.old).Get(ctx, c.old.GetName(), metav1.GetOptions{}))(t).GetResourceVersion())
	}
	w.client.warnings.take()
	return control
}

// strip leaves out what is different each time.
func strip(o *unstructured.Unstructured) *unstructured.Unstructured {
	for _, field := range []string{"uid", "creationTimestamp", "managedFields", "resourceVersion"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	return o
}

// ask sends a case's request, as a dry run.
func (w *libraryWorld) ask(t *testing.T, c *libraryCase) libraryAnswer {
	t.Helper()
	dryRun := []string{metav1.DryRunAll}
	var subresources []string
	if c.Subresource != "" {
		subresources = []string{c.Subresource}
	}
	var out *unstructured.Unstructured
	var err error
	switch {
	case c.object == nil:
		err = w.resource(c.old).Delete(t.Context(), c.old.GetName(), metav1.DeleteOptions{DryRun: dryRun})
	case c.old == nil:
		out, err = w.resource(c.object).Create(t.Context(), c.object, metav1.CreateOptions{DryRun: dryRun}, subresources...)
	default:
		out, err = w.resource(c.object).Update(t.Context(), c.object, metav1.UpdateOptions{DryRun: dryRun}, subresources...)
	}
	warnings := w.client.warnings.take()
	if err == nil {
		return told(nil, out, warnings)
	}
	var refused apierrors.APIStatus
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	status := refused.Status()
	return told(&status, nil, warnings)
}

// apply puts policies into the cluster; what it returns takes them out again.
func (w *libraryWorld) apply(t *testing.T, policies []*unstructured.Unstructured) (remove func()) {
	t.Helper()
	for _, p := range policies {
		if ns := p.GetNamespace(); ns != "" {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
			if _, err := w.client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Fatal(err)
			}
		}
		must(w.resource(p).Create(t.Context(), p, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}))(t)
	}
	if warnings := w.client.warnings.take(); len(warnings) > 0 {
		t.Errorf("kube-apiserver warns of the policies: %q", warnings)
	}
	return func() {
		for _, p := range policies {
			if err := w.resource(p).Delete(context.WithoutCancel(t.Context()), p.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	}
}

// keepParams keeps policies with params in the cluster all the time: kube-apiserver 1.36 finds no params any
// more once the last such policy was deleted and another comes.
func (w *libraryWorld) keepParams(t *testing.T) {
	t.Helper()
	var policies []*unstructured.Unstructured
	for _, file := range must(filepath.Glob(filepath.Join("testdata", "library", "*.yaml")))(t) {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(must(os.ReadFile(file))(t), &o.Object); err != nil {
			t.Fatal(err)
		}
		policies = append(policies, o)
	}
	w.apply(t, policies)
}
