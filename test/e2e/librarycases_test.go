package e2e

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// library is the folder of the policies that are shipped.
const library = "../../deploy/policies"

// libraryFile is what is read here of a file of cases.
type libraryFile struct {
	Policies []string       `json:"policies"`
	Objects  []any          `json:"objects"` // those in files of their own are no namespaces
	Cases    []*libraryCase `json:"cases"`
}

// libraryCase is one request.
type libraryCase struct {
	Name        string           `json:"name"`
	Object      map[string]any   `json:"object"`
	OldObject   map[string]any   `json:"oldObject"`
	Subresource string           `json:"subresource"`
	Policies    []map[string]any `json:"policies"`
	Expect      struct {
		Allowed  bool           `json:"allowed"`
		Message  string         `json:"message"`
		Code     int32          `json:"code"`
		Reason   string         `json:"reason"`
		Object   map[string]any `json:"object"`
		Warnings []string       `json:"warnings"`
		Patch    []any          `json:"patch"` // here it can only be empty: nothing changes
	} `json:"expect"`

	object, old *unstructured.Unstructured
	want        *unstructured.Unstructured // how the object is to come out; nil: the case does not say
	namespace   *unstructured.Unstructured // made for this case alone, like the one that it names
	named       string                     // the namespace that it names
	unfit       string                     // why the API takes no such object, whatever the policies say
}

// librarySet is a set of policies, and the cases that are for it.
type librarySet struct {
	file     string
	label    string // of the namespaces of its cases, or of what has no namespace
	policies []*unstructured.Unstructured
	cases    []*libraryCase
	wide     bool // they are about what has no namespace
}

func (s *librarySet) mutates() bool {
	return slices.ContainsFunc(s.policies, func(p *unstructured.Unstructured) bool { return p.GetKind() == "MutatingAdmissionPolicy" })
}

// librarySets reads all cases. Each gets a namespace of its own, so that none has to wait for another; those
// about kube-system and its like, and about namespaces, cannot have one, and are left to others. Objects of the
// kinds in wide are in no namespace, and are called what it would have been.
func librarySets(t *testing.T, wide map[string]bool) []*librarySet {
	t.Helper()
	files := must(filepath.Glob(filepath.Join(library, "tests", "*_test.yaml")))(t)
	var sets []*librarySet
	for _, name := range files {
		var f libraryFile
		if err := yaml.Unmarshal(must(os.ReadFile(name))(t), &f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		byPolicies := map[string]*librarySet{}
		for _, c := range f.Cases {
			if !c.prepare(t, f.Objects) {
				continue
			}
			key := string(must(json.Marshal(c.Policies))(t))
			set := byPolicies[key]
			if set == nil {
				set = &librarySet{file: strings.TrimSuffix(filepath.Base(name), "_test.yaml"), label: fmt.Sprintf("set-%d", len(sets))}
				set.policies = policiesOf(t, filepath.Dir(name), f.Policies, c.Policies)
				byPolicies[key] = set
				sets = append(sets, set)
			}
			set.take(c, wide)
		}
	}
	for _, s := range sets { // what is refused or changed shows that the policies are in effect
		slices.SortStableFunc(s.cases, func(a, b *libraryCase) int { return stdcmp.Compare(a.quiet(), b.quiet()) })
	}
	return sets
}

// take makes a case one of the set's, and no other's.
func (s *librarySet) take(c *libraryCase, wide map[string]bool) {
	name := fmt.Sprintf("%s-%d", s.label, len(s.cases))
	c.namespace.SetName(name)
	s.mark(c.namespace)
	for _, o := range []*unstructured.Unstructured{c.object, c.old, c.want} {
		switch {
		case o == nil:
		case wide[o.GetKind()]:
			s.wide = true
			o.SetName(name)
			s.mark(o)
		default:
			o.SetNamespace(name)
		}
	}
	s.cases = append(s.cases, c)
}

// mark labels an object as one that the set's policies see.
func (s *librarySet) mark(o *unstructured.Unstructured) {
	labels := maps.Clone(o.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels["library"] = s.label
	o.SetLabels(labels)
}

// quiet is 1 when the policies leave the request as it is.
func (c *libraryCase) quiet() int {
	if !c.Expect.Allowed || c.Expect.Object != nil || len(c.Expect.Warnings) > 0 {
		return 0
	}
	return 1
}

// prepare reads the objects; false when the case cannot have a namespace of its own.
func (c *libraryCase) prepare(t *testing.T, objects []any) bool {
	t.Helper()
	c.object, c.old, c.want = object(c.Object), object(c.OldObject), object(c.Expect.Object)
	if c.Expect.Patch != nil && c.want == nil {
		c.want = c.object.DeepCopy()
	}
	for _, o := range []*unstructured.Unstructured{c.object, c.old, c.want} {
		complete(o)
	}
	subject := c.object
	if subject == nil {
		subject = c.old
	}
	name := stdcmp.Or(subject.GetNamespace(), "default")
	c.named = name
	if subject.GetKind() == "Namespace" || strings.HasPrefix(name, "kube-") || name == "gatefold-system" {
		return false
	}
	if c.object != nil && c.old == nil && (c.object.GetDeletionTimestamp() != nil || c.object.GetGenerateName() != "") {
		return false // the API lets nobody write the one, and says another name each time for the other
	}
	c.namespace = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{}}}
	for _, o := range objects {
		content, _ := o.(map[string]any)
		if ns := object(content); ns != nil && ns.GetKind() == "Namespace" && ns.GetName() == name {
			c.namespace = ns
		}
	}
	return true
}

// complete adds what the API asks for and no policy looks at.
func complete(o *unstructured.Unstructured) {
	if o == nil {
		return
	}
	podSpec := []string{"spec", "template", "spec"}
	switch o.GetKind() {
	case "Pod":
		podSpec = []string{"spec"}
	case "CronJob":
		podSpec = []string{"spec", "jobTemplate", "spec", "template", "spec"}
	case "VolumeSnapshotContent", "VolumeGroupSnapshotContent":
		_ = unstructured.SetNestedField(o.Object, "e2e.test", "spec", "driver")
		_ = unstructured.SetNestedField(o.Object, "Delete", "spec", "deletionPolicy")
		return
	case "Job":
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		unstructured.RemoveNestedField(o.Object, "spec", "selector")
		_ = unstructured.SetNestedField(o.Object, "library", "spec", "template", "metadata", "labels", "e2e")
		_ = unstructured.SetNestedField(o.Object, "library", "spec", "selector", "matchLabels", "e2e")
	default:
		return
	}
	if strings.HasSuffix(o.GetKind(), "Job") {
		_ = unstructured.SetNestedField(o.Object, "Never", append(podSpec, "restartPolicy")...)
	}
	_ = unstructured.SetNestedField(o.Object, "default", append(podSpec, "serviceAccountName")...)
}

func object(o map[string]any) *unstructured.Unstructured {
	if o == nil {
		return nil
	}
	return (&unstructured.Unstructured{Object: o}).DeepCopy()
}

// policiesOf reads the files, and lets the case's own objects take the places of those of the same name.
func policiesOf(t *testing.T, dir string, paths []string, own []map[string]any) []*unstructured.Unstructured {
	t.Helper()
	id := func(o *unstructured.Unstructured) string {
		return o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName()
	}
	all := map[string]*unstructured.Unstructured{}
	for _, path := range paths {
		for text := range bytes.SplitSeq(must(os.ReadFile(filepath.Join(dir, path)))(t), []byte("\n---\n")) {
			o := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict(text, &o.Object); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			all[id(o)] = o
		}
	}
	for _, o := range own {
		all[id(object(o))] = object(o)
	}
	var list []*unstructured.Unstructured
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[key])
	}
	return list
}
