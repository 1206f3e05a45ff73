package fold

import (
	"encoding/json"
	"testing"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// TestMayPatch is about what a backend may touch, and what it may make on the way there.
func TestMayPatch(t *testing.T) {
	tests := map[string]struct {
		mayPatch []string
		object   string // default: {"metadata":{},"spec":{"containers":[{}]}}
		patch    string
		refused  bool
	}{
		"the place itself":              {mayPatch: []string{"/spec/volumes"}, patch: `[{"op":"add","path":"/spec/volumes","value":[]}]`},
		"below it":                      {mayPatch: []string{"/spec/containers/*/env"}, patch: `[{"op":"add","path":"/spec/containers/0/env/0/value","value":"x"}]`},
		"beside it":                     {mayPatch: []string{"/spec/containers/*/env"}, patch: `[{"op":"add","path":"/spec/containers/0/image","value":"x"}]`, refused: true},
		"labels for the one label":      {mayPatch: []string{"/metadata/labels/team"}, patch: `[{"op":"add","path":"/metadata/labels","value":{"team":"a"}}]`},
		"empty labels for it":           {mayPatch: []string{"/metadata/labels/team"}, patch: `[{"op":"add","path":"/metadata/labels","value":{}},{"op":"add","path":"/metadata/labels/team","value":"a"}]`},
		"labels with another one":       {mayPatch: []string{"/metadata/labels/team"}, patch: `[{"op":"add","path":"/metadata/labels","value":{"team":"a","other":"b"}}]`, refused: true},
		"labels in the place of labels": {mayPatch: []string{"/metadata/labels/team"}, object: `{"metadata":{"labels":{"app":"x"}}}`, patch: `[{"op":"add","path":"/metadata/labels","value":{"team":"a"}}]`, refused: true},
		"labels in the place of null":   {mayPatch: []string{"/metadata/labels/team"}, object: `{"metadata":{"labels":null}}`, patch: `[{"op":"add","path":"/metadata/labels","value":{"team":"a"}}]`},
		"two levels":                    {mayPatch: []string{"/spec/a/b/c"}, patch: `[{"op":"add","path":"/spec/a","value":{"b":{"c":1}}}]`},
		"a scalar on the way":           {mayPatch: []string{"/spec/a/b/c"}, patch: `[{"op":"add","path":"/spec/a","value":{"b":1}}]`, refused: true},
		"a list of such":                {mayPatch: []string{"/spec/l/*/env"}, patch: `[{"op":"add","path":"/spec/l","value":[{"env":[]}]}]`},
		"a list of others":              {mayPatch: []string{"/spec/l/*/env"}, patch: `[{"op":"add","path":"/spec/l","value":[{"image":"x"}]}]`, refused: true},
		"removing what holds it":        {mayPatch: []string{"/metadata/labels/team"}, object: `{"metadata":{"labels":{}}}`, patch: `[{"op":"remove","path":"/metadata/labels"}]`, refused: true},
		"moving what is not its own":    {mayPatch: []string{"/metadata/labels/team"}, patch: `[{"op":"move","from":"/spec/containers","path":"/metadata/labels/team"}]`, refused: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.object == "" {
				test.object = `{"metadata":{},"spec":{"containers":[{}]}}`
			}
			var ops []operation
			if err := json.Unmarshal([]byte(test.patch), &ops); err != nil {
				t.Fatal(err)
			}
			object := []byte(test.object)
			err := NewGuard(test.mayPatch).Check(&admissionv1.AdmissionRequest{Object: object}, protos(ops), NewDocument(object))
			if (err != nil) != test.refused {
				t.Errorf("refused: %v", err)
			}
		})
	}
}
