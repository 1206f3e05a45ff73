package labels_test

import (
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// Whatever the object looks like, there is an answer or an error, and what comes back applies and needs
// no second pass.
func FuzzPatchApplies(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"labels":null,"annotations":{"a":"x"}}}`,
		`{"metadata":{"labels":{"a":"x"},"labels":{}}}`,
		`{"metadata":{"labels":{}},"metadata":{}}`,
		`{"metadata":{"labels":{"a":"x"},"labels":null},"Metadata":{}}`,
		`{"metadata":null}`,
	} {
		f.Add([]byte(seed))
	}
	cfg := labels.Config{Rules: []labels.Rule{
		{Set: labels.Set{Labels: map[string]string{"a": "1", "example.com/b": "${user.uid}"}}, WhenPresent: labels.Overwrite},
		{Set: labels.Set{Annotations: map[string]string{"a": `${object.metadata.labels["a"]}`, "c": "3"}}},
	}}
	cfg.SetDefaults()
	mutator, err := labels.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		sdktest.Settles(t, mutator, &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
			Resource:  &admissionv1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Operation: admissionv1.Operation_OPERATION_CREATE,
			Object:    object,
		}})
	})
}

// Whatever is written as a value, it compiles or is refused.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		`${namespace.labels["team"]}`, `$${x} ${"}"}`, `${ {"a": "}"}["a"] }-${user.uid}`, "${", "$", "${'''}'''}", `${namespace."x}`, "\xff${\xff}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		cfg := labels.Config{Rules: []labels.Rule{{Set: labels.Set{Annotations: map[string]string{"a": value}}}}}
		cfg.SetDefaults()
		_, _ = labels.New(cfg) // must not panic, nor take for ever
	})
}
