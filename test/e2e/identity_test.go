package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// testManyIdentities: of a thousand pods, each created right after its ServiceAccount, not one goes without
// its identity. The informer has not heard of many of these ServiceAccounts when their pods come, and only a
// few may be asked for.
func testManyIdentities(t *testing.T, w *world, g *gate) {
	const many, atOnce = 1000, 64
	ns := w.namespace(t, registration{gate: g})
	c := w.client(t, nil)
	before := must(harness.Metrics(t.Context(), "http://"+w.mutator.admin+"/metrics"))(t)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range many {
		group.Go(func() error {
			name := fmt.Sprintf("reader-%d", i)
			arn := roleARN + "-" + name
			if _, err := c.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"eks.amazonaws.com/role-arn": arn}},
			}, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("creating ServiceAccount %s: %w", name, err)
			}
			stored, err := c.createPod(t, ns, pod(name, func(p *corev1.Pod) { p.Spec.ServiceAccountName = name }))
			if err != nil {
				return fmt.Errorf("creating pod %s: %w", name, err)
			}
			for _, v := range stored.Spec.Containers[0].Env {
				if v.Name == "AWS_ROLE_ARN" && v.Value == arn {
					return nil
				}
			}
			return fmt.Errorf("pod %s has no identity", name)
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	after := must(harness.Metrics(t.Context(), "http://"+w.mutator.admin+"/metrics"))(t)
	const misses = "gatefold_identity_serviceaccount_misses_total"
	t.Logf("%v of %d lookups were not answered by the informer at once", after[misses]-before[misses], many)
}

// testLateServiceAccounts: a pod that comes to the gate before its ServiceAccount exists waits for it. (Through
// kube-apiserver it would be refused before the gate is asked.)
func testLateServiceAccounts(t *testing.T, w *world, g *gate) {
	const many, late = 20, 50 * time.Millisecond
	ns := w.namespace(t, registration{gate: g})
	c := w.client(t, nil)
	client := w.httpClient(t, &g.apiserver)
	var group errgroup.Group
	for i := range many {
		name := fmt.Sprintf("late-%d", i)
		group.Go(func() error {
			time.Sleep(late)
			_, err := c.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"eks.amazonaws.com/role-arn": roleARN}},
			}, metav1.CreateOptions{})
			return err
		})
		group.Go(func() error {
			resp, err := post(t, client, g.url("/mutate"), "application/json", strings.NewReader(podReview(ns, name)))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			var answer admissionv1.AdmissionReview
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Response == nil {
				return fmt.Errorf("%s: got %d and no answer: %w", name, resp.StatusCode, err)
			}
			if !strings.Contains(string(answer.Response.Patch), roleARN) {
				return fmt.Errorf("%s has no identity: %+v", name, answer.Response)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// podReview asks for a pod to be created.
func podReview(ns, serviceAccount string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":%[2]q,
		"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
		"requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},
		"name":%[2]q,"namespace":%[1]q,"operation":"CREATE","userInfo":{"username":"test"},
		"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":%[2]q},"spec":{"serviceAccountName":%[2]q,"containers":[{"name":"app","image":"a"}]}},
		"oldObject":null,"dryRun":false,"options":null}}`, ns, serviceAccount)
}

// testRoleConfigMap: a ServiceAccount without an annotation has the role that the ConfigMap gives it, from when
// it is written until it is gone.
func testRoleConfigMap(t *testing.T, w *world, g *gate) {
	ns := w.namespace(t, registration{gate: g})
	c := w.client(t, nil)
	awaitRole := func(want bool) {
		t.Helper()
		eventually(t, func() error {
			created, err := c.CoreV1().Pods(ns).Create(t.Context(), pod("mapped"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				return err
			}
			has := slices.ContainsFunc(created.Spec.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == "AWS_ROLE_ARN" })
			if has != want {
				return fmt.Errorf("has a role: %t, want %t", has, want)
			}
			return nil
		})
	}
	awaitRole(false)
	configMaps := c.CoreV1().ConfigMaps("default")
	must(configMaps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "pod-identity-webhook"},
		Data:       map[string]string{"config": `{"nonsense": 7, "` + ns[:3] + `*/default": {"RoleARN": "` + roleARN + `"}}`},
	}, metav1.CreateOptions{}))(t)
	awaitRole(true)
	if err := configMaps.Delete(t.Context(), "pod-identity-webhook", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitRole(false)
}
