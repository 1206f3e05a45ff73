package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// TestLimits is about validators that look at other objects of the cluster than the one that is asked about.
func TestLimits(t *testing.T) {
	w := newLimitsWorld(t)
	t.Run("a driver has one default snapshot class", func(t *testing.T) { testDefaultClass(t, w) })
	t.Run("of two default classes at once one is refused", func(t *testing.T) { testClassesAtOnce(t, w) })
	t.Run("there is one load balancer in a namespace", func(t *testing.T) { testLoadBalancers(t, w) })
	t.Run("one process never lets too many in", func(t *testing.T) { testManyAtOnce(t, w) })
	t.Run("nor by names that come and go", func(t *testing.T) { testComeAndGo(t, w) })
	t.Run("there are so many namespaces of a kind", func(t *testing.T) { testTenants(t, w) })
	t.Run("two processes together may", func(t *testing.T) { testTwoProcesses(t, w) })
}

// newLimitsWorld starts a control plane, a validator and a gate that kube-apiserver calls for the kinds of
// these tests.
func newLimitsWorld(t *testing.T) *world {
	t.Helper()
	w := newControlPlane(t)
	w.binaries = must(harness.Build(t.Context(), w.dir))(t)
	apiserver := must(w.pki.Client("kube-apiserver"))(t)
	w.define(t, newSnapshotDefinitions(t).all)
	w.gates = map[string]*gate{}
	for _, replica := range []string{"a", "b"} {
		v := w.startLimits(t)
		g := w.startGateFrom(t, "limits-gateway.yaml", apiserver, map[string]any{"Validator": v.address})
		w.gates[replica] = g
		// Which of two processes is asked would be up to the gate; here it is up to the object.
		w.registerLimits(t, replica+".counts.e2e.test", g, &metav1.LabelSelector{MatchLabels: map[string]string{"replica": replica}}, "", "configmaps", "services", "namespaces")
	}
	w.registerLimits(t, "snapshots.e2e.test", w.gates["a"], nil, "snapshot.storage.k8s.io", "*")
	w.registerLimits(t, "groups.e2e.test", w.gates["a"], nil, "groupsnapshot.storage.k8s.io", "*")
	w.awaitLimits(t)
	return w
}

// startLimits starts one more process of the validator.
func (w *world) startLimits(t *testing.T) *service {
	t.Helper()
	root := must(harness.Root())(t)
	policies := must(filepath.Glob(filepath.Join(root, "deploy", "policies", "snapshot-*.yaml")))(t)
	if len(policies) == 0 {
		t.Fatal("no policies")
	}
	s := &service{binary: w.binaries.Validator, address: must(harness.FreeAddress())(t), admin: must(harness.FreeAddress())(t)}
	dir := t.TempDir()
	s.config = must(harness.Render(filepath.Join("testdata", "limits-validator.yaml"), dir, map[string]any{
		"Address": s.address, "Admin": s.admin, "CAFile": w.pki.CAFile,
		"Server": must(w.pki.Server("limits"))(t), "Policies": policies,
	}))(t)
	s.process = w.start(t, s.binary, s.config, s.admin)
	return s
}

func (w *world) registerLimits(t *testing.T, name string, g *gate, objects *metav1.LabelSelector, group string, resources ...string) {
	t.Helper()
	url, sideEffects, timeout := g.url("/validate"), admissionregistrationv1.SideEffectClassNoneOnDryRun, int32(10)
	must(w.client(t, nil).AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: name, ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: w.pki.CA},
			SideEffects: &sideEffects, TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{"v1"}, ObjectSelector: objects,
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: resources},
			}},
		}},
	}, metav1.CreateOptions{}))(t)
}

// awaitLimits waits until every registration is in effect, which shows when it refuses.
func (w *world) awaitLimits(t *testing.T) {
	t.Helper()
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	refuses := func(create func() error) {
		eventually(t, func() error {
			if err := create(); err == nil || !strings.Contains(err.Error(), "denied the request") {
				return fmt.Errorf("not in effect: %w", err)
			}
			return nil
		})
	}
	nowhere := map[string]any{"name": "s", "namespace": ""} // which the definitions let pass, and the policies do not
	for r, spec := range map[served]map[string]any{
		snapshotResource("v1", "VolumeSnapshotContent"):           {"volumeSnapshotRef": nowhere, "source": map[string]any{"volumeHandle": "v"}},
		snapshotResource("v1beta1", "VolumeGroupSnapshotContent"): {"volumeGroupSnapshotRef": nowhere, "source": map[string]any{"volumeHandles": []any{"v"}}},
	} {
		spec["driver"], spec["deletionPolicy"] = "e2e.test", "Delete"
		refuses(func() error {
			_, err := w.resource(t, r.GroupVersionResource).Create(t.Context(), snapshotObject(r, "probe", map[string]any{"spec": spec}), dry)
			return err
		})
	}
	ns := w.countedNamespace(t, 0)
	for replica := range w.gates {
		refuses(func() error {
			_, err := w.client(t, nil).CoreV1().ConfigMaps(ns).Create(t.Context(), countedMap("probe", replica), dry)
			return err
		})
	}
}

func (w *world) resource(t *testing.T, r schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	t.Helper()
	return w.client(t, nil).dynamic.Resource(r)
}
