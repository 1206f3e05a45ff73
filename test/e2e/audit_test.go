package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// testAudit reads in kube-apiserver's own audit log who changed which field of a pod.
func testAudit(t *testing.T, w *world, g *gate) {
	ns := w.namespace(t, registration{gate: g})
	must(w.client(t, nil).createPod(t, ns, pod("audited", func(p *corev1.Pod) { p.Spec.ServiceAccountName = "builder" })))(t)
	var changes string
	eventually(t, func() error {
		for line := range bytes.Lines(must(os.ReadFile(w.controlPlane.AuditLog))(t)) {
			var event struct {
				ObjectRef   struct{ Namespace, Resource, Name string }
				Annotations map[string]string
			}
			if json.Unmarshal(line, &event) != nil || event.ObjectRef.Namespace != ns || event.ObjectRef.Name != "audited" {
				continue // of somebody else, or not written to its end yet
			}
			changes = event.Annotations["mutate.gatefold.dev/changes"]
			return nil
		}
		return errors.New("the audit log does not know the pod")
	})
	var got map[string][]string
	if err := json.Unmarshal([]byte(changes), &got); err != nil {
		t.Fatalf("the annotation is %q: %v", changes, err)
	}
	if !slices.Contains(got["identity"], "/spec/volumes/0") {
		t.Errorf("identity changed %v, and not the volumes", got["identity"])
	}
	if diff := cmp.Diff([]string{"/metadata/labels/stamped-by", "/metadata/labels/team"}, got["labels"]); diff != "" {
		t.Errorf("labels (-want +got)\n%s", diff)
	}
}
