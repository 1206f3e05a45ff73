package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// served is a resource and its kind.
type served struct {
	schema.GroupVersionResource
	kind string
}

func snapshots() served { return snapshotResource("v1", "VolumeSnapshot") }

func snapshotResource(version, kind string) served {
	group := "snapshot.storage.k8s.io"
	if strings.HasPrefix(kind, "VolumeGroup") {
		group = "groupsnapshot.storage.k8s.io"
	}
	plural := strings.ToLower(kind) + "s"
	if strings.HasSuffix(plural, "ss") {
		plural = strings.TrimSuffix(plural, "s") + "es"
	}
	return served{schema.GroupVersionResource{Group: group, Version: version, Resource: plural}, kind}
}

func snapshotObject(r served, namespace, name string, content map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: content}
	o = o.DeepCopy()
	o.SetGroupVersionKind(r.GroupVersion().WithKind(r.kind))
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// denied fails the test unless err is a denial of a backend with just this message.
func denied(t *testing.T, err error, backend, message string) {
	t.Helper()
	if err == nil {
		t.Errorf("allowed, want: %s", message)
		return
	}
	if !strings.HasSuffix(err.Error(), "denied the request: "+backend+": "+message) {
		t.Errorf("want: %s\ngot:  %v", message, err)
	}
}

func testSnapshotPolicies(t *testing.T, w *world) {
	for _, c := range []struct {
		resource                 served
		namespace, before, after string // the spec's members, as name=value
		message                  string // after upstream's prefix
	}{
		{
			snapshots(), "default", "persistentVolumeClaimName=a", "persistentVolumeClaimName=b",
			"snapshot-volumesnapshots|Spec.Source.PersistentVolumeClaimName is immutable but was changed from a to b",
		},
		{
			snapshots(), "default", "volumeSnapshotContentName=c", "",
			"snapshot-volumesnapshots|Spec.Source.VolumeSnapshotContentName is immutable but was changed from c to <nil string pointer>",
		},
		{
			snapshotResource("v1", "VolumeSnapshotContent"), "", "volumeHandle=v", "volumeHandle=w",
			"snapshot-contents|Spec.Source.VolumeHandle is immutable but was changed from v to w",
		},
		{
			snapshotResource("v1beta1", "VolumeGroupSnapshot"), "default", "volumeGroupSnapshotContentName=v", "volumeGroupSnapshotContentName=w",
			"snapshot-group-snapshots|Spec.Source.VolumeGroupSnapshotContentName is immutable but was changed from v to w",
		},
	} {
		content := func(member string) map[string]any {
			source := map[string]any{}
			if name, value, ok := strings.Cut(member, "="); ok {
				source[name] = value
			}
			return map[string]any{"spec": map[string]any{
				"source": source, "volumeSnapshotRef": map[string]any{"name": "s", "namespace": "default"},
			}}
		}
		at := w.resource(t, c.resource.GroupVersionResource).Namespace(c.namespace)
		name := "s-" + strings.ToLower(strings.NewReplacer("=", "-").Replace(c.before))
		created := must(at.Create(t.Context(), snapshotObject(c.resource, c.namespace, name, content(c.before)), metav1.CreateOptions{}))(t)
		created.SetLabels(map[string]string{"any": "thing"})
		created = must(at.Update(t.Context(), created, metav1.UpdateOptions{}))(t)
		created.Object["spec"] = content(c.after)["spec"]
		_, err := at.Update(t.Context(), created, metav1.UpdateOptions{})
		policy, message, _ := strings.Cut(c.message, "|")
		denied(t, err, "policy", fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", policy, policy, message))
	}
}

// snapshotClass is a class of a driver, which is its default.
func snapshotClass(r served, name, driver string) *unstructured.Unstructured {
	o := snapshotObject(r, "", name, map[string]any{"driver": driver, "deletionPolicy": "Delete"})
	o.SetAnnotations(map[string]string{strings.TrimSuffix(r.Group, ".storage.k8s.io") + ".storage.kubernetes.io/is-default-class": "true"})
	return o
}

func testDefaultClass(t *testing.T, w *world) {
	for _, r := range []served{
		snapshotResource("v1", "VolumeSnapshotClass"), snapshotResource("v1beta1", "VolumeGroupSnapshotClass"), snapshotResource("v1beta2", "VolumeGroupSnapshotClass"),
	} {
		classes := w.resource(t, r.GroupVersionResource)
		driver := strings.ToLower(r.kind) + "." + r.Version + ".test"
		name := func(prefix string) string { return prefix + "-" + r.Version }
		noun := "snapshot class"
		if r.Group != "snapshot.storage.k8s.io" {
			noun = "group snapshot class"
		}
		taken := fmt.Sprintf("default %s: %s already exists for driver: %s", noun, name("first"), driver)

		first := must(classes.Create(t.Context(), snapshotClass(r, name("first"), driver), metav1.CreateOptions{}))(t)
		eventually(t, func() error { // until the validator has seen it there is a hint in the message
			_, err := classes.Create(t.Context(), snapshotClass(r, name("dry"), driver), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil || !strings.HasSuffix(err.Error(), taken) {
				return fmt.Errorf("want %s, got %w", taken, err)
			}
			return nil
		})
		_, err := classes.Create(t.Context(), snapshotClass(r, name("second"), driver), metav1.CreateOptions{})
		denied(t, err, "snapshot", taken)

		plain := snapshotClass(r, name("second"), driver)
		plain.SetAnnotations(nil)
		second := must(classes.Create(t.Context(), plain, metav1.CreateOptions{}))(t)
		second.SetAnnotations(first.GetAnnotations())
		_, err = classes.Update(t.Context(), second, metav1.UpdateOptions{})
		denied(t, err, "snapshot", taken)

		first.SetAnnotations(nil)
		must(classes.Update(t.Context(), first, metav1.UpdateOptions{}))(t)
		eventually(t, func() error {
			_, err := classes.Update(t.Context(), second, metav1.UpdateOptions{})
			return err
		})
	}
}

// One process of the validator never lets both of two pass, and never refuses both.
func testClassesAtOnce(t *testing.T, w *world) {
	r := snapshotResource("v1", "VolumeSnapshotClass")
	classes := w.resource(t, r.GroupVersionResource)
	for round := range 50 {
		driver := fmt.Sprintf("round-%d.test", round)
		var errs [2]error
		var both sync.WaitGroup
		for i := range errs {
			both.Go(func() {
				_, errs[i] = classes.Create(t.Context(), snapshotClass(r, fmt.Sprintf("round-%d-%d", round, i), driver), metav1.CreateOptions{})
			})
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v, %v", round, errs[0], errs[1])
		}
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		denied(t, errs[1-winner], "snapshot", fmt.Sprintf("default snapshot class: round-%d-%d already exists for driver: %s", round, winner, driver))
	}
}
