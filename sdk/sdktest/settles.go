package sdktest

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatefold/gatefold/sdk"
)

// Settles is for fuzz targets. Whatever the object of req looks like, the mutator has to give an answer or an
// error; what comes back has to apply, because a patch that does not fails the request whatever the failure
// policy; and a second pass must have nothing to add. req is not changed.
func Settles(tb testing.TB, mutator sdk.Mutator, req *sdk.Request) {
	tb.Helper()
	again := *req
	again.AdmissionRequest = proto.CloneOf(req.AdmissionRequest)
	for pass := range 2 {
		mutation, err := mutator.Mutate(tb.Context(), &again)
		switch {
		case pass > 0 && err != nil:
			tb.Fatalf("a second pass fails: %v", err)
		case err != nil || mutation == nil:
			return
		case pass > 0 && mutation.Denial != nil:
			tb.Fatalf("a second pass is denied: %s", mutation.Denial.GetMessage())
		case mutation.Denial != nil:
			return
		}
		operations, err := mutation.Patch.Operations()
		if err != nil {
			tb.Fatal(err)
		}
		if len(operations) == 0 {
			return
		}
		again.Object = Apply(tb, again.GetObject(), operations)
	}
	tb.Errorf("a second pass changed the object again: %s", again.GetObject())
}
