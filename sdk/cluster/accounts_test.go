package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gatefold/gatefold/sdk/cluster"
)

func TestServiceAccounts(t *testing.T) {
	client := fake.NewClientset(account("one", "app"), account("two", "app"), account("two", "web"))
	c, err := cluster.New(client, cluster.Options{
		Watch:       []cluster.Resource{cluster.ServiceAccounts, cluster.ServiceAccounts},
		Annotations: func(key string) bool { return strings.HasPrefix(key, "kept/") },
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	app, err := c.ServiceAccounts.ServiceAccounts("one").Get("app")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "one", Name: "app"}}, app); diff != "" {
		t.Errorf("kept of an account without annotations to keep (-want +got):\n%s", diff)
	}
	for namespace, want := range map[string]int{"one": 1, "two": 2, "three": 0} {
		if all, err := c.ServiceAccounts.ServiceAccounts(namespace).List(labels.Everything()); err != nil || len(all) != want {
			t.Errorf("accounts of %s: %v, %v", namespace, all, err)
		}
	}
	if all, err := c.ServiceAccounts.List(labels.Everything()); err != nil || len(all) != 3 {
		t.Errorf("accounts: %v, %v", all, err)
	}
	if _, err := c.ServiceAccounts.List(labels.SelectorFromSet(labels.Set{"l": "1"})); err == nil {
		t.Error("listing by a label that is not kept: no error")
	}

	accounts := client.CoreV1().ServiceAccounts("one")
	annotated := account("one", "app")
	annotated.Annotations = map[string]string{"kept/a": "1", "kept/b": "2", "dropped": "3"}
	if _, err := accounts.Update(t.Context(), annotated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		app, err := c.ServiceAccounts.ServiceAccounts("one").Get("app")
		return err == nil && cmp.Equal(map[string]string{"kept/a": "1", "kept/b": "2"}, app.Annotations)
	})
	if err := accounts.Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, err := c.ServiceAccounts.ServiceAccounts("one").Get("app")
		return apierrors.IsNotFound(err)
	})
}

// Whether they come as a stream or in pages, and also when they have to be listed again, all of them are kept,
// with nothing but what is wanted.
func TestServiceAccountsOverHTTP(t *testing.T) {
	const count = 2_345 // of pages the last is not full, and garbage is collected on the way
	for _, streams := range []bool{true, false} {
		t.Run(fmt.Sprintf("streams %t", streams), func(t *testing.T) {
			t.Parallel() // client-go takes a second before it lists again
			apiserver, url := startApiserver(t, count, streams)
			apiserver.forgets.Store(!streams)
			c, err := cluster.Source{Kubeconfig: kubeconfig(t, url)}.Open(cluster.Options{
				Watch:       []cluster.Resource{cluster.ServiceAccounts},
				Annotations: func(key string) bool { return key == "eks.amazonaws.com/role-arn" },
			})
			if err != nil {
				t.Fatal(err)
			}
			run(t, c)
			if !streams {
				eventually(t, func() bool { return apiserver.lists.Load() == 2 })
			}
			all, err := c.ServiceAccounts.List(labels.Everything())
			if err != nil || len(all) != count {
				t.Errorf("%d accounts, %v", len(all), err)
			}
			if largest := apiserver.largest.Load(); largest > 500 {
				t.Errorf("%d accounts in one answer", largest)
			}
			for i := range count {
				sent := deployed(i)
				want := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: sent.Namespace, Name: sent.Name}}
				if role, ok := sent.Annotations["eks.amazonaws.com/role-arn"]; ok {
					want.Annotations = map[string]string{"eks.amazonaws.com/role-arn": role}
				}
				got, err := c.ServiceAccounts.ServiceAccounts(sent.Namespace).Get(sent.Name)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Fatalf("%v, (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

// kubeconfig returns the path of a kubeconfig for the apiserver at url.
func kubeconfig(tb testing.TB, url string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, fmt.Appendf(nil, `
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: %q}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
`, url), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
