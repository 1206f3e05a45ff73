package labels_test

import (
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// Whatever the object and the old object look like, there is an answer or an error, and what comes back applies
// and needs no second pass.
func FuzzPatchApplies(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"labels":null,"annotations":{"a":"x"}}}`,
		`{"metadata":{"labels":{"a":"x"},"labels":{}}}`,
		`{"metadata":{"labels":{}},"metadata":{}}`,
		`{"metadata":{"labels":{"a":"x"},"labels":null},"Metadata":{}}`,
		`{"metadata":null}`,
		`{"metadata":{"labels":{"gone":"x","i.io/x":"y"}},"spec":{"selector":{"matchLabels":{"a":"1"}},"template":{"spec":{"containers":[{}]}}}}`,
		`{"metadata":{"labels":{"f":"x"}},"spec":{"template":{"metadata":null,"metadata":{"labels":{"a":"x","i.io/x":"y"}},"spec":{"containers":[{}]}},"selector":{"a":"x"}}}`,
		`{"metadata":{"ownerReferences":[{"controller":true}]},"spec":{"template":null,"template":{"spec":{"containers":[1]}}}}`,
		`{"metadata":{"deletionTimestamp":"x"},"spec":{"template":{"metadata":{},"spec":{"containers":[]}}}}`,
	} {
		f.Add([]byte(seed), []byte(nil))
		f.Add([]byte(seed), []byte(`{"metadata":{"labels":{"f":"old"}},"spec":{"template":{"metadata":{"labels":{"a":"old"}},"spec":{"containers":[{}]}}}}`))
	}
	cfg := labels.Config{Rules: []labels.Rule{
		{Set: labels.Set{Labels: map[string]string{"a": "1", "example.com/b": "${user.uid}"}}, WhenPresent: labels.Overwrite, Targets: []string{labels.Object, labels.PodTemplate}},
		{Set: labels.Set{Annotations: map[string]string{"a": `${object.metadata.labels["a"]}`, "c": "3"}}},
		{Set: labels.Set{Labels: map[string]string{"f": "${labelValue(request.operation)}"}}, Immutable: labels.Restore},
		{Remove: labels.Remove{Labels: []string{"gone", "i.io/*"}, Annotations: []string{"i.io/*"}}, Targets: []string{labels.PodTemplate, labels.Object}},
	}}
	cfg.SetDefaults()
	mutator, err := labels.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, object, old []byte) {
		operation := admissionv1.Operation_OPERATION_CREATE
		if len(old) > 0 {
			operation = admissionv1.Operation_OPERATION_UPDATE
		}
		sdktest.Settles(t, mutator, &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
			Resource:  &admissionv1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
			Operation: operation,
			Object:    object,
			OldObject: old,
		}})
	})
}

// Whatever text is made a label's value, it is one.
func FuzzLabelValue(f *testing.F) {
	for _, seed := range []string{"", "alice", "system:serviceaccount:a:b", "\xff", "-a-", "a" + string(make([]byte, 80)) + "b"} {
		f.Add(seed)
	}
	cfg := labels.Config{Rules: []labels.Rule{{Set: labels.Set{Labels: map[string]string{"a": "${labelValue(user.username)}"}}}}}
	cfg.SetDefaults()
	mutator, err := labels.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := mutator.Mutate(t.Context(), &sdk.Request{AdmissionRequest: &admissionv1.AdmissionRequest{
			Operation: admissionv1.Operation_OPERATION_CREATE,
			Object:    []byte(`{"metadata":{}}`),
			UserInfo:  &admissionv1.UserInfo{Username: text},
		}})
		if err != nil { // it checks what it sets
			t.Error(err)
		}
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
