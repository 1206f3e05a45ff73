package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// snapshotDefinitions are the CustomResourceDefinitions of external-snapshotter.
type snapshotDefinitions struct {
	all  []*apiextensionsv1.CustomResourceDefinition
	wide map[string]bool // the kinds that have no namespace
}

func newSnapshotDefinitions(t *testing.T) snapshotDefinitions {
	t.Helper()
	d := snapshotDefinitions{all: must(harness.SnapshotDefinitions(t.Context()))(t), wide: map[string]bool{}}
	for _, definition := range d.all {
		d.wide[definition.Spec.Names.Kind] = definition.Spec.Scope == apiextensionsv1.ClusterScoped
	}
	return d
}

func (w *world) define(t *testing.T, definitions []*apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	if err := w.controlPlane.Define(definitions); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotKinds holds what gatefold test is told of the kinds of snapshots against their definitions.
func TestSnapshotKinds(t *testing.T) {
	told := must(harness.Definitions(filepath.Join(library, "tests", "snapshot-crds.yaml")))(t)
	if diff := cmp.Diff(kinds(must(harness.SnapshotDefinitions(t.Context()))(t)), kinds(told)); diff != "" {
		t.Errorf("(-external-snapshotter's +ours):\n%s", diff)
	}
}

// kinds is what admission asks of definitions.
func kinds(definitions []*apiextensionsv1.CustomResourceDefinition) []string {
	var list []string
	for _, d := range definitions {
		for _, v := range d.Spec.Versions {
			list = append(list, fmt.Sprintf("%s: %s %s/%s served %t stored %t", d.Name, d.Spec.Scope, d.Spec.Group, v.Name, v.Served, v.Storage),
				d.Spec.Names.Kind+" "+d.Spec.Names.Plural)
		}
	}
	slices.Sort(list)
	return list
}

// served is a resource and its kind.
type served struct {
	schema.GroupVersionResource
	kind string
}

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

func snapshotObject(r served, name string, content map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: content}
	o = o.DeepCopy()
	o.SetGroupVersionKind(r.GroupVersion().WithKind(r.kind))
	o.SetName(name)
	return o
}

// hint is what a denial says beside its message while the watch is behind.
var hint = regexp.MustCompile(` \((some were )?allowed a moment ago; if (it does|they do) not appear, try again\)`)

// denied fails the test unless err is a denial of a backend with just this message, or with a hint in it: on a busy
// machine a watch may be behind for longer than a question waits.
func denied(t *testing.T, err error, backend, message string) {
	t.Helper()
	if err == nil {
		t.Errorf("allowed, want: %s", message)
		return
	}
	if !strings.HasSuffix(hint.ReplaceAllString(err.Error(), ""), "denied the request: "+backend+": "+message) {
		t.Errorf("want: %s\ngot:  %v", message, err)
	}
}

// snapshotClass is a class of a driver, which is its default.
func snapshotClass(r served, name, driver string) *unstructured.Unstructured {
	o := snapshotObject(r, name, map[string]any{"driver": driver, "deletionPolicy": "Delete"})
	o.SetAnnotations(map[string]string{strings.TrimSuffix(r.Group, ".storage.k8s.io") + ".storage.kubernetes.io/is-default-class": "true"})
	return o
}

func testDefaultClass(t *testing.T, w *world) {
	for _, r := range []served{
		snapshotResource("v1", "VolumeSnapshotClass"), snapshotResource("v1beta1", "VolumeGroupSnapshotClass"), snapshotResource("v1beta2", "VolumeGroupSnapshotClass"),
		snapshotResource("v1", "VolumeGroupSnapshotClass"),
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
