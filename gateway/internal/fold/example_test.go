package fold_test

import (
	"errors"
	"fmt"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"

	"github.com/gatefold/gatefold/gateway/internal/fold"
)

// A sidecar is put before the container that another mutator's patch means by its index. It is the example of
// docs/explanation/fold.md.
func ExampleDocument_Rebase() {
	pod := fold.NewDocument([]byte(`{"spec":{"containers":[{"name":"app","env":[{"name":"MODE","value":"test"}]}]}}`))
	add := func(path, value string) []*admissionv1.PatchOperation {
		return []*admissionv1.PatchOperation{{Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: path, Value: []byte(value)}}
	}
	// Both were asked about the pod as it came.
	sidecar := add("/spec/containers/0", `{"name":"proxy"}`)
	token := add("/spec/containers/0/env/-", `{"name":"TOKEN","value":"/var/run/token"}`)

	first, _ := pod.Apply(sidecar, 1)
	second, _ := first.Document.Rebase(token, pod, 2)
	fmt.Println(second.Ops[0].GetPath())
	fmt.Println(string(second.Document.Bytes()))

	// A third wants to be the first container too. Before or after the proxy? Only it can say.
	_, err := first.Document.Rebase(add("/spec/containers/0", `{"name":"init"}`), pod, 2)
	fmt.Println(errors.Is(err, fold.ErrStale))

	everyContainer := fold.NewObserved([]string{"/spec/containers/*/env"})
	fmt.Println(everyContainer.Changed(pod, first.Document))
	// Output:
	// /spec/containers/1/env/-
	// {"spec":{"containers":[{"name":"proxy"},{"name":"app","env":[{"name":"MODE","value":"test"},{"name":"TOKEN","value":"/var/run/token"}]}]}}
	// true
	// true
}
