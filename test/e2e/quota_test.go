package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// countedNamespace makes a namespace that may have so many counted ConfigMaps.
func (w *world) countedNamespace(t *testing.T, most int) string {
	t.Helper()
	return must(w.client(t, nil).CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "counted-", Annotations: map[string]string{"quota.test/maps": strconv.Itoa(most)},
	}}, metav1.CreateOptions{}))(t).Name
}

// countedMap is a ConfigMap about which a replica is asked.
func countedMap(name, replica string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"counted": "true", "replica": replica}}}
}

func testLoadBalancers(t *testing.T, w *world) {
	c := w.client(t, nil).CoreV1()
	ns := w.countedNamespace(t, 0)
	service := func(name string, kind corev1.ServiceType) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"replica": "a"}},
			Spec:       corev1.ServiceSpec{Type: kind, Ports: []corev1.ServicePort{{Port: 80}}},
		}
	}
	const full = "rule load-balancers: namespace %s has 1 of at most 1 services of type LoadBalancer; delete one or ask for more"
	first := must(c.Services(ns).Create(t.Context(), service("first", corev1.ServiceTypeLoadBalancer), metav1.CreateOptions{}))(t)
	inner := must(c.Services(ns).Create(t.Context(), service("inner", corev1.ServiceTypeClusterIP), metav1.CreateOptions{}))(t)
	_, err := c.Services(ns).Create(t.Context(), service("second", corev1.ServiceTypeLoadBalancer), metav1.CreateOptions{})
	denied(t, err, "quota", fmt.Sprintf(full, ns))
	inner.Spec.Type = corev1.ServiceTypeLoadBalancer
	_, err = c.Services(ns).Update(t.Context(), inner, metav1.UpdateOptions{})
	denied(t, err, "quota", fmt.Sprintf(full, ns))
	first.Labels["any"] = "thing"
	must(c.Services(ns).Update(t.Context(), first, metav1.UpdateOptions{}))(t)
	if err := c.Services(ns).Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		_, err := c.Services(ns).Update(t.Context(), inner, metav1.UpdateOptions{})
		return err
	})
}

// createAtOnce creates so many ConfigMaps at the same moment, about which the replicas are asked in turn, and
// returns how many there are then.
func createAtOnce(t *testing.T, w *world, ns string, count int, replicas ...string) int {
	t.Helper()
	c := w.client(t, nil).CoreV1().ConfigMaps(ns)
	var created atomic.Int64
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			_, err := c.Create(t.Context(), countedMap(fmt.Sprint("m-", i), replicas[i%len(replicas)]), metav1.CreateOptions{})
			switch {
			case err == nil:
				created.Add(1)
			case !strings.Contains(err.Error(), "rule maps: namespace "+ns+" has "):
				t.Error(err)
			}
		})
	}
	all.Wait()
	list := must(c.List(t.Context(), metav1.ListOptions{}))(t)
	if len(list.Items) != int(created.Load()) {
		t.Errorf("%d created, %d there", created.Load(), len(list.Items))
	}
	return len(list.Items)
}

func testManyAtOnce(t *testing.T, w *world) {
	for range 10 {
		const most = 7
		ns := w.countedNamespace(t, most)
		if n := createAtOnce(t, w, ns, 60, "a"); n != most {
			t.Errorf("%d in %s, want %d", n, ns, most)
		}
		_, err := w.client(t, nil).CoreV1().ConfigMaps(ns).Create(t.Context(), countedMap("one-more", "a"), metav1.CreateOptions{})
		denied(t, err, "quota", fmt.Sprintf("rule maps: namespace %s has 7 of at most 7 counted ConfigMaps; delete one or ask for more", ns))
	}
}

// testComeAndGo deletes and creates objects of few names at once, so that what the watch shows is always behind.
func testComeAndGo(t *testing.T, w *world) {
	const most, names, rounds = 3, 6, 40
	ns := w.countedNamespace(t, most)
	c := w.client(t, nil).CoreV1().ConfigMaps(ns)
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			for range rounds {
				// One that is being refused waits for others.
				if _, err := c.Create(t.Context(), countedMap(fmt.Sprint("m-", i), "a"), metav1.CreateOptions{}); err != nil {
					if !strings.Contains(err.Error(), "rule maps: namespace "+ns+" has ") {
						t.Error(err)
					}
					continue
				}
				if n := len(must(c.List(t.Context(), metav1.ListOptions{}))(t).Items); n > most {
					t.Errorf("%d at once, want at most %d", n, most)
				}
				if err := c.Delete(t.Context(), fmt.Sprint("m-", i), metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// testTenants limits namespaces, about which kube-apiserver asks as if they were in themselves.
func testTenants(t *testing.T, w *world) {
	c := w.client(t, nil).CoreV1().Namespaces()
	tenant := func(name string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"tenant": "true", "replica": "a"}}}
	}
	for _, name := range []string{"tenant-1", "tenant-2"} {
		must(c.Create(t.Context(), tenant(name), metav1.CreateOptions{}))(t)
	}
	const full = "rule tenants: the cluster has 2 of at most 2 tenants"
	_, err := c.Create(t.Context(), tenant("tenant-3"), metav1.CreateOptions{})
	denied(t, err, "quota", full+"; delete one or ask for more")
	other := tenant("other")
	other.Labels["tenant"] = "false"
	must(c.Create(t.Context(), other, metav1.CreateOptions{}))(t)
	_, err = c.Update(t.Context(), tenant("other"), metav1.UpdateOptions{})
	denied(t, err, "quota", full+"; delete one or ask for more")
	changed := tenant("tenant-1")
	changed.Labels["any"] = "thing"
	must(c.Update(t.Context(), changed, metav1.UpdateOptions{}))(t)
}

// What is documented to remain: each process counts what it has allowed, and sees what the others have a moment
// later. Together they let in at most as often as many as they are.
func testTwoProcesses(t *testing.T, w *world) {
	const most = 5
	more := 0
	for range 20 {
		ns := w.countedNamespace(t, most)
		n := createAtOnce(t, w, ns, 40, slices.Sorted(maps.Keys(w.gates))...)
		if n < most || n > most*len(w.gates) {
			t.Errorf("%d in %s, want %d to %d", n, ns, most, most*len(w.gates))
		}
		if n > most {
			more++
		}
	}
	t.Logf("in %d of 20 namespaces two processes let in more than %d", more, most)
	if more == 0 {
		t.Error("two processes never let in too many: the documentation says that they may")
	}
}
