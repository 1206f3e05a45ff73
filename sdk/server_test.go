package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	corev1 "k8s.io/api/core/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"fieldOfTheFuture":9007199254740993}}`

func mutator(mutation *sdk.Mutation, err error) sdk.Mutator {
	return sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) { return mutation, err })
}

func TestMutateAnswers(t *testing.T) {
	t.Parallel()
	var patch sdk.Patch
	patch.Add(sdk.Pointer("metadata", "labels"), map[string]string{"a": "b"})
	operations := []*admissionv1.PatchOperation{{
		Op: admissionv1.PatchOp_PATCH_OP_ADD, Path: "/metadata/labels", Value: []byte(`{"a":"b"}`),
	}}
	cases := map[string]struct {
		mutator sdk.Mutator
		want    *admissionv1.MutateResponse
	}{
		"nil changes nothing":            {mutator(nil, nil), &admissionv1.MutateResponse{}},
		"the zero value changes nothing": {mutator(&sdk.Mutation{}, nil), &admissionv1.MutateResponse{}},
		"operations go out as they are":  {mutator(&sdk.Mutation{Patch: patch}, nil), &admissionv1.MutateResponse{Operations: operations}},
		"a changed object becomes operations on the bytes that came": {
			sdk.MutatorFunc(func(_ context.Context, req *sdk.Request) (*sdk.Mutation, error) {
				var pod corev1.Pod
				if err := req.Decode(&pod); err != nil {
					return nil, err
				}
				pod.Labels = map[string]string{"a": "b"}
				return &sdk.Mutation{Object: &pod}, nil
			}),
			&admissionv1.MutateResponse{Operations: operations},
		},
		"a denial carries no operations": {
			mutator(&sdk.Mutation{Patch: patch, Denial: sdk.Deny("no %s", "luck"), Warnings: []string{"w"}}, nil),
			&admissionv1.MutateResponse{Denial: &admissionv1.Denial{Message: "no luck"}, Warnings: []string{"w"}},
		},
		"warnings and audit annotations travel": {
			mutator(&sdk.Mutation{Warnings: []string{"w"}, AuditAnnotations: map[string]string{"k": "v"}}, nil),
			&admissionv1.MutateResponse{Warnings: []string{"w"}, AuditAnnotations: map[string]string{"k": "v"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := sdktest.PodRequest(t, pod)
			got, err := sdktest.StartMutator(t, tc.mutator).Mutate(t.Context(), &admissionv1.MutateRequest{Request: request})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got, protocmp.Transform()); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
			if len(got.GetOperations()) > 0 {
				want := strings.Replace(pod, `"name":"web"`, `"labels":{"a":"b"},"name":"web"`, 1)
				if applied := string(sdktest.Apply(t, request.GetObject(), got.GetOperations())); applied != want {
					t.Errorf("applied: got %s, want %s", applied, want)
				}
			}
		})
	}
}

func TestValidateAnswers(t *testing.T) {
	t.Parallel()
	verdict := &sdk.Verdict{
		Denials:          []*admissionv1.Denial{sdk.Deny("one"), {Message: "two", Code: 422, Reason: "Invalid"}},
		Warnings:         []string{"w"},
		AuditAnnotations: map[string]string{"k": "v"},
	}
	cases := map[string]struct {
		verdict *sdk.Verdict
		want    *admissionv1.ValidateResponse
	}{
		"nil allows": {nil, &admissionv1.ValidateResponse{}},
		"everything travels": {verdict, &admissionv1.ValidateResponse{
			Denials: verdict.Denials, Warnings: verdict.Warnings, AuditAnnotations: verdict.AuditAnnotations,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := sdktest.StartValidator(t, sdk.ValidatorFunc(
				func(context.Context, *sdk.Request) (*sdk.Verdict, error) { return tc.verdict, nil }))
			got, err := client.Validate(t.Context(), &admissionv1.ValidateRequest{Request: sdktest.PodRequest(t, pod)})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got, protocmp.Transform()); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
		})
	}
}

func TestFailuresAreCoded(t *testing.T) {
	t.Parallel()
	var broken sdk.Patch
	broken.Add("/spec/x", func() {})
	cases := map[string]struct {
		mutator sdk.Mutator
		code    codes.Code
		message string
	}{
		"a plain error is internal": {mutator(nil, errors.New("no database")), codes.Internal, "no database"},
		"a handler's own code stands": {
			mutator(nil, fmt.Errorf("asking: %w", status.Error(codes.ResourceExhausted, "full"))), codes.ResourceExhausted, "asking:",
		},
		"but for the code of a server that was not reached": {
			mutator(nil, fmt.Errorf("asking: %w", status.Error(codes.Unavailable, "down"))), codes.FailedPrecondition,
			"asking: rpc error: code = Unavailable desc = down",
		},
		"somebody else's timeout":        {mutator(nil, fmt.Errorf("asking: %w", context.DeadlineExceeded)), codes.DeadlineExceeded, "asking:"},
		"a panic":                        {sdk.MutatorFunc(func(context.Context, *sdk.Request) (*sdk.Mutation, error) { panic("x") }), codes.Internal, "panicked"},
		"a patch that could not be made": {mutator(&sdk.Mutation{Patch: broken}, nil), codes.Internal, "patch value for /spec/x"},
		"an object that is none":         {mutator(&sdk.Mutation{Object: func() {}}, nil), codes.Internal, "turning the mutation into a patch"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sdktest.StartMutator(t, tc.mutator).Mutate(t.Context(), &admissionv1.MutateRequest{Request: sdktest.PodRequest(t, pod)})
			if got := status.Convert(err); got.Code() != tc.code || !strings.Contains(got.Message(), tc.message) {
				t.Errorf("got %v, want %s with %q", err, tc.code, tc.message)
			}
		})
	}
}

// What is not UTF-8 would make the whole answer fail, denial and all.
func TestAnswersAreUTF8(t *testing.T) {
	t.Parallel()
	const bad, good = "a\xffb", "a\uFFFDb"
	denial := &admissionv1.Denial{Message: bad, Reason: bad, Code: 422, Causes: []*admissionv1.Cause{{Reason: bad, Message: bad, Field: bad}}}
	wantDenial := &admissionv1.Denial{Message: good, Reason: good, Code: 422, Causes: []*admissionv1.Cause{{Reason: good, Message: good, Field: good}}}
	var patch sdk.Patch
	patch.Remove("/" + bad)
	patch.Remove("/c")
	mutations := map[string]struct {
		mutation *sdk.Mutation
		want     *admissionv1.MutateResponse
	}{
		"operations": {
			&sdk.Mutation{Patch: patch, Warnings: []string{bad}, AuditAnnotations: map[string]string{bad: bad}},
			&admissionv1.MutateResponse{
				Operations: []*admissionv1.PatchOperation{
					{Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: "/" + good}, {Op: admissionv1.PatchOp_PATCH_OP_REMOVE, Path: "/c"},
				},
				Warnings: []string{good}, AuditAnnotations: map[string]string{good: good},
			},
		},
		"a denial": {&sdk.Mutation{Denial: denial}, &admissionv1.MutateResponse{Denial: wantDenial}},
	}
	for name, tc := range mutations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := sdktest.StartMutator(t, mutator(tc.mutation, nil)).
				Mutate(t.Context(), &admissionv1.MutateRequest{Request: sdktest.PodRequest(t, pod)})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got, protocmp.Transform()); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
		})
	}
	t.Run("a verdict", func(t *testing.T) {
		t.Parallel()
		verdict := &sdk.Verdict{
			Denials: []*admissionv1.Denial{denial, nil}, Warnings: []string{bad}, AuditAnnotations: map[string]string{bad: bad},
		}
		got, err := sdktest.StartValidator(t, sdk.ValidatorFunc(
			func(context.Context, *sdk.Request) (*sdk.Verdict, error) { return verdict, nil })).
			Validate(t.Context(), &admissionv1.ValidateRequest{Request: sdktest.PodRequest(t, pod)})
		if err != nil {
			t.Fatal(err)
		}
		want := &admissionv1.ValidateResponse{
			Denials: []*admissionv1.Denial{wantDenial, {}}, Warnings: []string{good}, AuditAnnotations: map[string]string{good: good},
		}
		if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
			t.Errorf("answer (-want +got):\n%s", d)
		}
		if denial.GetMessage() != bad {
			t.Error("the handler's own denial was changed; it may be shared by other calls")
		}
	})
}

func TestOneOfSeveralHandlersIsAsked(t *testing.T) {
	t.Parallel()
	says := func(text string) sdk.Mutator { return mutator(&sdk.Mutation{Warnings: []string{text}}, nil) }
	one := map[string]sdk.Mutator{"a": says("a")}
	two := map[string]sdk.Mutator{"b": says("b"), "a": says("a")}
	unnamed := map[string]sdk.Mutator{"": says("any"), "a": says("a")}
	cases := map[string]struct {
		handlers map[string]sdk.Mutator
		handler  string
		object   bool
		want     string // the warning, or the error
	}{
		"the one that is named":                  {two, "b", true, "b"},
		"the only one":                           {one, "a", true, "a"},
		"the only one does not speak for others": {one, "labels", true, `no handler "labels" here; served are: a`},
		"nor for nobody":                         {one, "", true, `no handler "" here; served are: a`},
		"the one without a name does":            {unnamed, "labels", true, "any"},
		"but not for one that is there":          {unnamed, "a", true, "a"},
		"none is named":                          {two, "", true, `no handler "" here; served are: a, b`},
		"an unknown one is named":                {two, "c", true, `no handler "c" here; served are: a, b`},
		"a call without request asks about none": {one, "a", false, "the call carries no admission request"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := admissionv1.NewMutatorServiceClient(sdktest.Start(t, sdk.Config{Mutators: tc.handlers}))
			in := &admissionv1.MutateRequest{Handler: tc.handler}
			if tc.object {
				in.Request = sdktest.PodRequest(t, pod)
			}
			answer, err := client.Mutate(t.Context(), in)
			got := strings.Join(answer.GetWarnings(), "")
			if err != nil {
				got = status.Convert(err).Message()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLargeReview(t *testing.T) {
	t.Parallel()
	request := sdktest.PodRequest(t, pod)
	request.Object = []byte(`{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 19<<20) + `"}}}`)
	var got int
	client := sdktest.StartMutator(t, sdk.MutatorFunc(func(_ context.Context, req *sdk.Request) (*sdk.Mutation, error) {
		got = len(req.GetObject())
		return nil, nil
	}))
	if _, err := client.Mutate(t.Context(), &admissionv1.MutateRequest{Request: request}); err != nil {
		t.Fatal(err)
	}
	if got != len(request.GetObject()) {
		t.Errorf("the handler saw %d bytes of %d", got, len(request.GetObject()))
	}
}
