package cluster_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/gatefold/gatefold/sdk/cluster"
)

var _ informers.GenericInformer = (*cluster.Objects)(nil)

func limitKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Limit"}
}

func limits() schema.GroupVersionResource { return limitKind().GroupVersion().WithResource("limits") }

func limit(namespace, name string, size int64) *unstructured.Unstructured {
	l := &unstructured.Unstructured{Object: map[string]any{"size": size}}
	l.SetGroupVersionKind(limitKind())
	l.SetNamespace(namespace)
	l.SetName(name)
	l.SetLabels(map[string]string{"name": name})
	l.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl"}})
	return l
}

// world is a live cluster of fakes.
type world struct {
	*cluster.Cluster
	core    *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	watches atomic.Int64 // of limits, that were begun
	logs    bytes.Buffer
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	t.Helper()
	w := &world{core: fake.NewClientset()}
	c, err := cluster.New(w.core, cluster.Options{Logger: slog.New(slog.NewTextHandler(&w.logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{
			limits(): "LimitList", limitKind().GroupVersion().WithResource("limites"): "LimitList",
		}, objects...)
	w.dynamic.PrependWatchReactor("limits", func(kubetesting.Action) (bool, watch.Interface, error) {
		w.watches.Add(1)
		return false, nil, nil
	})
	w.Cluster, c.Dynamic = c, w.dynamic
	w.serve(&metav1.APIResourceList{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{
		{Name: "limits/status", Kind: "Limit", Namespaced: true}, {Name: "limits", Kind: "Limit", Namespaced: true},
	}})
	return w
}

// serve is what the apiserver says that it serves, before the cluster runs.
func (w *world) serve(lists ...*metav1.APIResourceList) { w.core.Resources = lists }

func (w *world) follow(t *testing.T, kind schema.GroupVersionKind) *cluster.Objects {
	t.Helper()
	o, err := w.Follow(kind, cluster.FollowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func TestFollow(t *testing.T) {
	w := newWorld(t, limit("one", "a", 1), limit("two", "b", 2))
	early := w.follow(t, limitKind())
	if err := w.Ready(t.Context()); err == nil {
		t.Error("ready before what is followed was listed")
	}
	if _, err := early.Lister().ByNamespace("one").Get("absent"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("before anything was listed: %v, want an error that does not say not found", err)
	}
	if _, err := early.Scope(); err == nil {
		t.Error("a scope before anything was asked")
	}
	run(t, w.Cluster)
	second := w.follow(t, limitKind())
	if second.Informer() != early.Informer() {
		t.Error("the same kind twice is two watches")
	}
	if scope, err := second.Scope(); err != nil || scope.Name() != "namespace" {
		t.Errorf("scope: %v, %v", scope, err)
	}
	got, err := second.Lister().ByNamespace("one").Get("a")
	if err != nil {
		t.Fatal(err)
	}
	want := limit("one", "a", 1)
	want.SetManagedFields(nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if all, err := second.Lister().List(labels.SelectorFromSet(labels.Set{"name": "b"})); err != nil || len(all) != 1 {
		t.Errorf("by label: %v, %v", all, err)
	}
	if _, err := second.Lister().ByNamespace("one").Get("b"); !apierrors.IsNotFound(err) {
		t.Errorf("one that is in another namespace: %v", err)
	}

	seen := make(chan string, 10)
	if err := second.Notify(func(o any) { seen <- o.(*unstructured.Unstructured).GetName() }, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return second.Ready() == nil && len(seen) == 2 })
	if _, err := w.dynamic.Resource(limits()).Namespace("one").Create(t.Context(), limit("one", "c", 3), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(seen) == 3 })
	second.Close()
	second.Close()
	if err := second.Ready(); err == nil {
		t.Error("ready after Close")
	}
	if early.Informer().IsStopped() {
		t.Error("stopped for one that still follows")
	}
	early.Close()
	eventually(t, early.Informer().IsStopped)

	again := w.follow(t, limitKind())
	eventually(t, func() bool { return again.Ready() == nil })
	if n := w.watches.Load(); n != 2 {
		t.Errorf("%d watches begun, want one and one more after both were closed", n)
	}
}

// Without a version it is the one that is preferred, or else one that has the kind.
func TestFollowAnyVersion(t *testing.T) {
	w := newWorld(t, limit("one", "a", 1))
	w.serve(append([]*metav1.APIResourceList{{GroupVersion: "example.com/v2", APIResources: []metav1.APIResource{{Name: "others", Kind: "Other"}}}}, w.core.Resources...)...)
	o := w.follow(t, limitKind().GroupKind().WithVersion(""))
	run(t, w.Cluster)
	if got, err := o.Lister().ByNamespace("one").Get("a"); err != nil || got.GetObjectKind().GroupVersionKind() != limitKind() {
		t.Errorf("%v, %v", got, err)
	}
	none := w.follow(t, schema.GroupVersionKind{Group: "none.example.com", Kind: "Limit"})
	eventually(t, func() bool {
		err := none.Ready()
		return err != nil && strings.Contains(err.Error(), "Limit.none.example.com: ") && strings.Contains(err.Error(), "does not serve")
	})
	objects, err := cluster.FromObjects(limit("one", "a", 1))
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := objects.Follow(limitKind().GroupKind().WithVersion(""), cluster.FollowOptions{MetadataOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fixed.Lister().ByNamespace("one").Get("a"); err != nil || got.GetObjectKind().GroupVersionKind() != limitKind() {
		t.Errorf("%v, %v", got, err)
	}
}

func TestFollowWhatIsNotServed(t *testing.T) {
	t.Parallel() // client-go takes a second before it asks again
	w := newWorld(t, limit("one", "a", 1))
	served := w.core.Resources
	w.serve()
	var asked atomic.Int64
	serves := make(chan bool, 1)
	w.core.PrependReactor("get", "resource", func(kubetesting.Action) (bool, runtime.Object, error) {
		asked.Add(1)
		select {
		case <-serves:
			w.serve(served...)
		default:
		}
		return false, nil, nil
	})
	o := w.follow(t, limitKind())
	run(t, w.Cluster) // it is ready all the same
	eventually(t, func() bool {
		return asked.Load() > 0 && o.Ready() != nil && strings.Contains(o.Ready().Error(), "does not serve this kind")
	})
	if _, err := o.Lister().ByNamespace("one").Get("a"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("Get: %v, want an error that does not say not found", err)
	}
	if all, err := o.Lister().List(labels.Everything()); err == nil {
		t.Errorf("List: %v, want an error", all)
	}
	serves <- true
	eventually(t, func() bool { return o.Ready() == nil })
	if _, err := o.Lister().ByNamespace("one").Get("a"); err != nil {
		t.Error(err)
	}
	if n := strings.Count(w.logs.String(), "objects cannot be followed"); n != 1 {
		t.Errorf("told %d times, want once:\n%s", n, w.logs.String())
	}
}

// A kind that goes is not answered from what was known of it, and may come back as another resource.
func TestFollowWhatGoesAndComesBack(t *testing.T) {
	t.Parallel() // client-go takes a second before it asks again
	w := newWorld(t, limit("one", "a", 1))
	var gone, back atomic.Bool
	watches := make(chan *watch.FakeWatcher, 10)
	w.dynamic.PrependWatchReactor("*", func(kubetesting.Action) (bool, watch.Interface, error) {
		fake := watch.NewFake()
		watches <- fake
		return true, fake, nil
	})
	w.dynamic.PrependReactor("list", "limits", func(kubetesting.Action) (bool, runtime.Object, error) {
		return gone.Load(), nil, apierrors.NewNotFound(limits().GroupResource(), "")
	})
	w.core.PrependReactor("get", "resource", func(kubetesting.Action) (bool, runtime.Object, error) {
		if back.Load() {
			w.serve(&metav1.APIResourceList{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{{Name: "limites", Kind: "Limit"}}})
		}
		return false, nil, nil
	})
	o := w.follow(t, limitKind())
	run(t, w.Cluster)
	gone.Store(true)
	(<-watches).Stop()
	eventually(t, func() bool { return o.Ready() != nil })
	if _, err := o.Lister().ByNamespace("one").Get("a"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("Get: %v, want an error that does not say not found", err)
	}
	back.Store(true)
	eventually(t, func() bool { return o.Ready() == nil })
	if scope, err := o.Scope(); err != nil || scope.Name() != "root" {
		t.Errorf("scope: %v, %v", scope, err)
	}
}

func TestFollowWhatIsForbidden(t *testing.T) {
	w := newWorld(t, limit("one", "a", 1))
	w.dynamic.PrependReactor("list", "limits", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(limits().GroupResource(), "", errors.New("no right"))
	})
	early := w.follow(t, limitKind())
	ctx := t.Context()
	go func() { _ = w.Run(ctx) }()
	eventually(t, func() bool { err := w.Ready(ctx); return err != nil && strings.Contains(err.Error(), "no right") })
	if _, err := early.Lister().ByNamespace("one").List(labels.Everything()); err == nil || !strings.Contains(err.Error(), "no right") {
		t.Errorf("List: %v", err)
	}
	early.Close()
	later := w.follow(t, limitKind())
	if err := w.Ready(ctx); err != nil {
		t.Errorf("what a running program begins to follow makes it unready: %v", err)
	}
	if err := later.Ready(); err == nil {
		t.Error("the objects themselves are ready")
	}
}

func TestFollowMetadata(t *testing.T) {
	w := newWorld(t)
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	object := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "example.com/v1", Kind: "Limit"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "one", Name: "a", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}},
	}
	w.Metadata = metadatafake.NewSimpleMetadataClient(scheme, object)
	o, err := w.Follow(limitKind(), cluster.FollowOptions{MetadataOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	run(t, w.Cluster)
	got, err := o.Lister().ByNamespace("one").Get("a")
	want := object.DeepCopy()
	want.ManagedFields = nil
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestFollowNeedsAKindAndAClient(t *testing.T) {
	c, err := cluster.New(fake.NewClientset(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Follow(limitKind(), cluster.FollowOptions{}); err == nil {
		t.Error("no client, and no error")
	}
	if _, err := c.Follow(schema.GroupVersionKind{Version: "v1"}, cluster.FollowOptions{}); err == nil {
		t.Error("no kind, and no error")
	}
}

func TestFollowFromObjects(t *testing.T) {
	objects, err := cluster.ParseObjects("f", []byte(`
{apiVersion: example.com/v1, kind: Limit, metadata: {name: bare}, size: 1}
---
{apiVersion: example.com/v1, kind: Limit, metadata: {name: placed, namespace: two}, size: 2}
---
{apiVersion: example.com/v2, kind: Limit, metadata: {name: newer, namespace: two}}
---
{apiVersion: example.com/v1, kind: Tier, metadata: {name: gold}}
---
{apiVersion: example.com/v1, kind: Site, metadata: {name: north}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: sites.example.com},
 spec: {group: example.com, names: {kind: Site}, scope: Namespaced}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast, namespace: wrong}}
---
{apiVersion: v1, kind: Pod, metadata: {generateName: web-}}
`))
	if err != nil {
		t.Fatal(err)
	}
	all := []runtime.Object{configMap("one", "typed", "1")}
	for _, o := range objects {
		all = append(all, o)
	}
	c, err := cluster.FromObjectsIn("here", all...)
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string][]string{
		"example.com/v1 Limit": {"namespace", "here/bare", "two/placed"}, "example.com/v2 Limit": {"namespace", "two/newer"},
		"example.com/v1 Tier": {"root", "gold"}, "example.com/v1 Site": {"namespace", "here/north"},
		"storage.k8s.io/v1 StorageClass": {"root", "fast"}, "v1 Pod": {"namespace"}, "v1 Node": {"root"},
		"v1 ConfigMap": {"namespace", "one/typed"}, "example.com/v1 None": {"namespace"},
	} {
		apiVersion, name, _ := strings.Cut(kind, " ")
		for _, metadataOnly := range []bool{false, true} {
			o, err := c.Follow(schema.FromAPIVersionAndKind(apiVersion, name), cluster.FollowOptions{MetadataOnly: metadataOnly})
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Ready(); err != nil || !o.Informer().HasSynced() {
				t.Errorf("%s: %v", kind, err)
			}
			scope, err := o.Scope()
			if err != nil {
				t.Fatal(err)
			}
			got := []string{string(scope.Name())}
			err = o.Notify(func(object any) {
				key, _ := cache.MetaNamespaceKeyFunc(object)
				got = append(got, key)
				if m, ok := object.(metav1.Object); !ok || m.GetManagedFields() != nil {
					t.Errorf("managed fields of %s are kept", key)
				}
				if gvk := object.(runtime.Object).GetObjectKind().GroupVersionKind(); gvk != schema.FromAPIVersionAndKind(apiVersion, name) {
					t.Errorf("%s is a %s", key, gvk)
				}
			}, nil)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s, metadata only %t: %v (-want +got):\n%s", kind, metadataOnly, err, diff)
			}
			o.Close()
		}
	}
	if objects[0].GetNamespace() != "" {
		t.Error("what was given is changed")
	}
	limits, _ := c.Follow(limitKind(), cluster.FollowOptions{})
	placed, err := limits.Lister().ByNamespace("two").Get("placed")
	if err != nil || placed.(*unstructured.Unstructured).Object["size"] != int64(2) {
		t.Errorf("placed: %v, %v", placed, err)
	}
	if _, err := limits.Lister().ByNamespace("two").Get("bare"); !apierrors.IsNotFound(err) {
		t.Errorf("bare: %v", err)
	}
	unknown, err := cluster.Source{}.Open(cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	none, err := unknown.Follow(corev1.SchemeGroupVersion.WithKind("Pod"), cluster.FollowOptions{})
	if err != nil || none.Ready() != nil || unknown.Known() {
		t.Errorf("unknown cluster: %v, known %t", err, unknown.Known())
	}
}
