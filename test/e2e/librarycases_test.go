package e2e

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// library is the folder of the policies that are shipped.
const library = "../../deploy/policies"

// libraryFile is what is read here of a file of cases.
type libraryFile struct {
	Policies []string         `json:"policies"`
	Objects  []map[string]any `json:"objects"`
	Cases    []*libraryCase   `json:"cases"`
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
	label    string // of the namespaces of its cases
	policies []*unstructured.Unstructured
	cases    []*libraryCase
}

func (s *librarySet) mutates() bool {
	return slices.ContainsFunc(s.policies, func(p *unstructured.Unstructured) bool { return p.GetKind() == "MutatingAdmissionPolicy" })
}

// librarySets reads all cases. Each gets a namespace of its own, so that none has to wait for another; those
// about kube-system and its like, and about what has no namespace, cannot have one, and are left to others.
func librarySets(t *testing.T) []*librarySet {
	t.Helper()
	files := must(filepath.Glob(filepath.Join(library, "tests", "*_test.yaml")))(t)
	var sets []*librarySet
	for _, name := range files {
		if strings.HasPrefix(filepath.Base(name), "snapshot-") {
			continue // their kinds are not kube-apiserver's own
		}
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
			labels := c.namespace.GetLabels()
			labels["library"] = set.label
			c.namespace.SetLabels(labels)
			c.namespace.SetName(fmt.Sprintf("%s-%d", set.label, len(set.cases)))
			for _, o := range []*unstructured.Unstructured{c.object, c.old, c.want} {
				if o != nil {
					o.SetNamespace(c.namespace.GetName())
				}
			}
			set.cases = append(set.cases, c)
		}
	}
	for _, s := range sets { // what is refused or changed shows that the policies are in effect
		slices.SortStableFunc(s.cases, func(a, b *libraryCase) int { return stdcmp.Compare(a.quiet(), b.quiet()) })
	}
	return sets
}

// quiet is 1 when the policies leave the request as it is.
func (c *libraryCase) quiet() int {
	if !c.Expect.Allowed || c.Expect.Object != nil || len(c.Expect.Warnings) > 0 {
		return 0
	}
	return 1
}

// prepare reads the objects; false when the case cannot have a namespace of its own.
func (c *libraryCase) prepare(t *testing.T, objects []map[string]any) bool {
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
		if ns := object(o); ns.GetKind() == "Namespace" && ns.GetName() == name {
			c.namespace = ns.DeepCopy()
		}
	}
	if c.namespace.GetLabels() == nil {
		c.namespace.SetLabels(map[string]string{})
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

// libraryAnswer is what somebody who asks is told.
type libraryAnswer struct {
	By       string // webhook, policy or API: who refuses; nobody: it went wrong; empty when nobody does
	Message  string // of the policies; without them, the whole
	Code     int32
	Reason   metav1.StatusReason
	Warnings []string
	object   *unstructured.Unstructured
}

// told reads an answer of kube-apiserver.
func told(status *metav1.Status, o *unstructured.Unstructured, warnings []string) libraryAnswer {
	a := libraryAnswer{object: o}
	for _, w := range warnings {
		// The gate says in front of it which backend has it.
		a.Warnings = append(a.Warnings, w[max(0, strings.Index(w, "Validation failed for ValidatingAdmissionPolicy '")):])
	}
	if status == nil {
		return a
	}
	a.By, a.Code, a.Reason, a.Message = "API", status.Code, status.Reason, status.Message
	at := strings.Index(status.Message, "ValidatingAdmissionPolicy '")
	switch {
	case status.Code >= http.StatusInternalServerError:
		a.By = "nobody"
	case strings.Contains(status.Message, "admission webhook"):
		a.By = "webhook"
	case at >= 0:
		a.By = "policy"
	}
	if at >= 0 {
		a.Message = status.Message[at:]
	}
	return a
}

// differs says how a policy of kube-apiserver answered otherwise than the gate; empty when the same. The gate
// tells all denials, kube-apiserver the first.
func (a libraryAnswer) differs(gate libraryAnswer) string {
	switch {
	case a.By == "webhook":
		return "the gate is still asked"
	case (a.By == "") != (gate.By == ""), a.By == "policy" != (gate.By == "webhook"),
		a.Code != gate.Code, a.Reason != gate.Reason, !strings.Contains(gate.Message, a.Message),
		!slices.Equal(a.Warnings, gate.Warnings):
		return fmt.Sprintf("kube-apiserver: %+v\nthe gate:       %+v", a, gate)
	}
	return ""
}

// misses says what the case expects otherwise.
func (a libraryAnswer) misses(c *libraryCase) string {
	e := c.Expect
	message := strings.ReplaceAll(e.Message, "namespace "+c.named+" ", "namespace "+c.namespace.GetName()+" ")
	if e.Allowed != (a.By == "") || a.By == "nobody" || e.Code != 0 && e.Code != a.Code || e.Reason != "" && e.Reason != string(a.Reason) ||
		message != "" && !strings.HasSuffix(a.Message, ": "+message) ||
		e.Warnings != nil && !slices.EqualFunc(a.Warnings, e.Warnings, func(got, want string) bool { return strings.HasSuffix(got, ": "+want) }) {
		return fmt.Sprintf("want: %+v\ngot:  %+v", e, a)
	}
	return ""
}

// cameOut says how the object is not the one that was expected; nil: any will do.
func (a libraryAnswer) cameOut(want *unstructured.Unstructured) string {
	if want == nil || a.object == nil {
		return ""
	}
	if diff := cmp.Diff(want.Object, strip(a.object).Object); diff != "" {
		return "the object (-as expected +as it came out):\n" + diff
	}
	return ""
}
