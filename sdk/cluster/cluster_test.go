package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gatefold/gatefold/sdk/cluster"
)

func TestMain(m *testing.M) {
	if kubeconfig := os.Getenv(fillFrom); kubeconfig != "" {
		if err := fill(kubeconfig); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return // it is no test
	}
	goleak.VerifyTestMain(m)
}

func account(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: "u", ResourceVersion: "7",
			Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		},
		Secrets: []corev1.ObjectReference{{Name: "s"}},
	}
}

func TestLive(t *testing.T) {
	client := fake.NewClientset(account("one", "app"),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "one", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}}})
	var logs bytes.Buffer
	c, err := cluster.New(client, cluster.Options{
		Watch:  []cluster.Resource{cluster.Namespaces, cluster.ServiceAccounts},
		Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err == nil {
		t.Error("ready before anything was listed")
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	eventually(t, func() bool { return c.Ready(ctx) == nil })

	got, err := c.ServiceAccounts.ServiceAccounts("one").Get("app")
	if err != nil {
		t.Fatal(err)
	}
	want := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Namespace: "one", Name: "app", Annotations: map[string]string{"a": "2"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept of the service account (-want +got):\n%s", diff)
	}
	if ns, err := c.Namespaces.Get("one"); err != nil || ns.ManagedFields != nil {
		t.Errorf("namespace: %v, %v", ns, err)
	}

	if _, err := client.CoreV1().ServiceAccounts("one").Create(ctx, account("one", "later"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, err := c.ServiceAccounts.ServiceAccounts("one").Get("later")
		return err == nil
	})

	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if !c.Known() || !c.Live() || c.Client == nil {
		t.Error("a live cluster is known and has a client")
	}
}

func TestLiveWatchesWhatIsWanted(t *testing.T) {
	c, err := cluster.New(fake.NewClientset(), cluster.Options{Watch: []cluster.Resource{cluster.Namespaces}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Namespaces == nil || c.ServiceAccounts != nil {
		t.Errorf("listers: namespaces %v, service accounts %v", c.Namespaces, c.ServiceAccounts)
	}
	if _, err := cluster.New(fake.NewClientset(), cluster.Options{Watch: []cluster.Resource{"pods"}}); err == nil {
		t.Error("watching pods: no error")
	}
}

func TestObjectFiles(t *testing.T) {
	c, err := cluster.Source{ObjectFiles: []string{"testdata/objects.yaml", "testdata/objects.json"}}.Open(cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err != nil || !c.Known() || c.Live() || c.Client != nil {
		t.Errorf("ready %v, known %t, live %t, client %v", err, c.Known(), c.Live(), c.Client)
	}
	namespaces, err := c.Namespaces.List(labels.Everything())
	if err != nil {
		t.Fatal(err)
	}
	teams := map[string]string{}
	for _, ns := range namespaces {
		teams[ns.Name] = ns.Labels["team"]
	}
	if diff := cmp.Diff(map[string]string{"kkj-ns": "green", "listed": ""}, teams); diff != "" {
		t.Errorf("namespaces and teams (-want +got):\n%s", diff)
	}
	sa, err := c.ServiceAccounts.ServiceAccounts("kkj-ns").Get("app")
	if err != nil || sa.Annotations["eks.amazonaws.com/role-arn"] == "" || sa.Secrets != nil {
		t.Errorf("service account: %v, %v", sa, err)
	}
	if inNamespace, err := c.ServiceAccounts.ServiceAccounts("listed").List(labels.Everything()); err != nil || len(inNamespace) != 1 {
		t.Errorf("service accounts of listed: %v, %v", inNamespace, err)
	}
	if _, err := c.ServiceAccounts.ServiceAccounts("default").Get("unplaced"); err != nil {
		t.Errorf("an account without a namespace: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestFromObjectsLeavesThemAlone(t *testing.T) {
	given := account("", "app")
	if _, err := cluster.FromObjects(given); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(account("", "app"), given); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

func TestParseObjects(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"comments only", "# nothing\n---\n# here\n", nil},
		{"JSON values in a row", `{"apiVersion":"v1","kind":"A"}{"apiVersion":"v1","kind":"B"}` + "\n---\napiVersion: v1\nkind: C", []string{"A", "B", "C"}},
		{"a typed list", "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}}]", []string{"Pod"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects, err := cluster.ParseObjects("f", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var kinds []string
			for _, o := range objects {
				kinds = append(kinds, o.GetKind())
			}
			if diff := cmp.Diff(c.want, kinds); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseObjectsKeepsIntegers(t *testing.T) {
	objects, err := cluster.ReadObjects("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	size, _, err := unstructured.NestedInt64(objects[3].(*unstructured.Unstructured).Object, "spec", "size")
	if err != nil || size != 9007199254740993 {
		t.Errorf("size = %d, %v", size, err)
	}
}

func TestBadObjects(t *testing.T) {
	_, err := cluster.ReadObjects("testdata/bad.yaml")
	if err == nil {
		t.Fatal("no error")
	}
	want := "testdata/bad.yaml:6: not an object of the Kubernetes API: Object 'Kind' is missing in '{\"metadata\":{\"name\":\"b\"}}'\n" +
		"testdata/bad.yaml:11: not YAML: mapping values are not allowed in this context; correct the syntax at or shortly before this line\n" +
		"testdata/bad.yaml:14: not YAML: key \"kind\" already set in map\n" +
		"testdata/bad.yaml:19: a second document follows at or shortly after this line; write --- on a line of its own in front of it"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestSource(t *testing.T) {
	unknown, err := cluster.Source{}.Open(cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if unknown.Known() || unknown.Live() {
		t.Error("nothing configured, yet known or live")
	}
	if _, err := unknown.Namespaces.Get("default"); !apierrors.IsNotFound(err) {
		t.Errorf("Get: %v, want not found", err)
	}
	if _, err := unknown.ConfigMap("default", "any"); !apierrors.IsNotFound(err) {
		t.Errorf("ConfigMap: %v, want not found", err)
	}

	kubeconfig := kubeconfig(t, "https://127.0.0.1:6443")
	live, err := cluster.Source{Kubeconfig: kubeconfig}.Open(cluster.Options{Watch: []cluster.Resource{cluster.Namespaces}})
	if err != nil || live.Client == nil || !live.Known() {
		t.Errorf("kubeconfig: %v, %v", live, err)
	}

	for name, s := range map[string]cluster.Source{
		"two sources":       {Kubeconfig: kubeconfig, ObjectFiles: []string{"testdata/objects.yaml"}},
		"no kubeconfig":     {Kubeconfig: filepath.Join(t.TempDir(), "absent")},
		"no such file":      {ObjectFiles: []string{"testdata/absent.yaml"}},
		"not inside a pod":  {InCluster: true},
		"unreadable object": {ObjectFiles: []string{"testdata/bad.yaml"}},
	} {
		if _, err := s.Open(cluster.Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParseObjects(f *testing.F) {
	for _, file := range []string{"testdata/objects.yaml", "testdata/objects.json", "testdata/bad.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := cluster.ParseObjects("f", data)
		if err != nil {
			return
		}
		for _, o := range objects {
			if o.GetKind() == "" {
				t.Errorf("an object without a kind: %v", o)
			}
			_, _ = cluster.FromObjects(o) // must not panic
		}
	})
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
}
