package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/sdk"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// library is the folder of the policies that are shipped.
const library = "../../../deploy/policies"

// libraryCase is one request for a shipped policy.
type libraryCase struct {
	Name        string           `json:"name"`
	Namespace   string           `json:"namespace"`
	Subresource string           `json:"subresource"`
	Object      map[string]any   `json:"object"`
	OldObject   map[string]any   `json:"oldObject"`
	Images      []string         `json:"images"` // instead of object: a pod with a container for each
	With        []map[string]any `json:"with"`   // further objects; a binding replaces the shipped one of its name
	Allowed     *bool            `json:"allowed"`
	Message     string           `json:"message"` // of the denial, after upstream's words; empty: any
}

func TestLibrary(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(library, "cases", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("cases: %v, %v", files, err)
	}
	for _, caseFile := range files {
		name := strings.TrimSuffix(filepath.Base(caseFile), ".yaml")
		file := filepath.Join(library, name+".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(caseFile)
			if err != nil {
				t.Fatal(err)
			}
			var cases []libraryCase
			if err := yaml.UnmarshalStrict(data, &cases); err != nil {
				t.Fatal(err)
			}
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) { runLibraryCase(t, file, name, c) })
			}
		})
	}
}

func runLibraryCase(t *testing.T, file, name string, c libraryCase) {
	if c.Allowed == nil || (c.Object == nil) == (c.Images == nil) {
		t.Fatal("a case needs allowed, and either object or images")
	}
	verdict, err := loadLibrary(t, file, c.With).Validate(t.Context(), requestOfCase(t, c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *c.Allowed {
		if len(verdict.Denials) > 0 {
			t.Errorf("denied: %v", verdict.Denials)
		}
		return
	}
	if len(verdict.Denials) != 1 {
		t.Fatalf("want one denial, got %v", verdict.Denials)
	}
	prefix := fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: ", name, name)
	got, ok := strings.CutPrefix(verdict.Denials[0].Message, prefix)
	if !ok || strings.Contains(got, "resulted in error") || c.Message != "" && got != c.Message {
		t.Errorf("message\nwant: %s\ngot:  %s", c.Message, verdict.Denials[0].Message)
	}
}

func loadLibrary(t *testing.T, file string, with []map[string]any) *Set {
	t.Helper()
	files, err := ReadFiles([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	for i, object := range with {
		if object["kind"] == bindingKind { // it stands in the second document of the file
			files[0].Data = split(files[0].Data)[0]
		}
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Name: fmt.Sprintf("with[%d]", i), Data: data})
	}
	set, err := Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func requestOfCase(t *testing.T, c libraryCase) *sdk.Request {
	t.Helper()
	object := &unstructured.Unstructured{Object: c.Object}
	if c.Images != nil {
		object.Object = map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web", "namespace": "shop"}}
		if c.Namespace != "" {
			object.SetNamespace(c.Namespace)
		}
		var containers []any
		for i, image := range c.Images {
			containers = append(containers, map[string]any{"name": fmt.Sprintf("c%d", i), "image": image})
		}
		object.Object["spec"] = map[string]any{"containers": containers}
	}
	raw, err := json.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	kind := object.GroupVersionKind()
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	q := &admissionv1.AdmissionRequest{
		Kind:        &admissionv1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind},
		Resource:    &admissionv1.GroupVersionResource{Group: resource.Group, Version: resource.Version, Resource: resource.Resource},
		SubResource: c.Subresource,
		Name:        object.GetName(),
		Namespace:   object.GetNamespace(),
		Operation:   admissionv1.Operation_OPERATION_CREATE,
		Object:      raw,
	}
	if c.OldObject != nil {
		q.Operation = admissionv1.Operation_OPERATION_UPDATE
		if q.OldObject, err = json.Marshal(c.OldObject); err != nil {
			t.Fatal(err)
		}
	}
	return &sdk.Request{AdmissionRequest: q}
}
