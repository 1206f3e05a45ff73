package mutating

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/sdktest"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// recording is one request and what kube-apiserver 1.36.3 made of it with the policies in force.
type recording struct {
	policytest.Recorded

	Result struct {
		outcome
		Deterministic bool            `json:"deterministic"`
		Alternatives  []outcome       `json:"alternatives"`
		Control       json.RawMessage `json:"control"`
	} `json:"result"`
}

type outcome struct {
	Allowed  bool            `json:"allowed"`
	Status   *metav1.Status  `json:"status"`
	DeniedBy string          `json:"deniedBy"`
	Warnings []string        `json:"warnings"`
	Final    json.RawMessage `json:"final"`
}

// differences are the recordings where kube-apiserver has something that is not to be had here.
func differences() map[string]string {
	return map[string]string{}
}

// TestParity compares with recorded decisions of a real kube-apiserver.
func TestParity(t *testing.T) {
	agree := 0
	all := policytest.Recordings[recording](t, "testdata/map.jsonl")
	for _, r := range all {
		ok := t.Run(r.ID, func(t *testing.T) {
			set, err := Parse(r.Files())
			if err != nil {
				t.Fatal(err)
			}
			response, err := mutate(t, set, r.Request(t))
			if reason := differences()[r.ID]; reason != "" {
				if err == nil || !strings.Contains(err.Error(), reason) {
					t.Fatalf("want an error that says %q, got %v, %v", reason, response, err)
				}
				agree--
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var problems []string
			for _, want := range append([]outcome{r.Result.outcome}, r.Result.Alternatives...) {
				problem := compare(t, r, want, response)
				if problem == "" {
					return
				}
				problems = append(problems, problem)
			}
			t.Errorf("%s\n%s\n%v", r.About, strings.Join(problems, "\nor\n"), response)
		})
		if ok {
			agree++
		}
	}
	t.Logf("%d of %d agree", agree, len(all))
}

// compare says what is different; empty: nothing.
func compare(t *testing.T, r recording, want outcome, got *admissionv1.MutateResponse) string {
	t.Helper()
	if len(got.GetWarnings()) > 0 || len(got.GetAuditAnnotations()) > 0 {
		return "policies of this kind do not warn"
	}
	// What comes after admission may refuse what the policies made.
	refused := !want.Allowed && (want.DeniedBy == "policy" || want.Status.Code == 500)
	if refused != (got.GetDenial() != nil) {
		return fmt.Sprintf("refused by kube-apiserver: %v: %v", refused, want.Status)
	}
	if refused {
		wanted := &admissionv1.Denial{Message: want.Status.Message, Reason: string(want.Status.Reason), Code: want.Status.Code}
		if want.Status.Details != nil {
			for _, c := range want.Status.Details.Causes {
				wanted.Causes = append(wanted.Causes, &admissionv1.Cause{Reason: string(c.Type), Message: c.Message, Field: c.Field})
			}
		}
		return cmp.Diff(wanted, got.GetDenial(), cmp.Comparer(func(a, b *admissionv1.Denial) bool { return a.String() == b.String() }))
	}
	if !want.Allowed {
		return ""
	}
	// The operations are for the object as the gate gets it; what kube-apiserver adds after admission is in control.
	return cmp.Diff(plain(t, want.Final), plain(t, sdktest.Apply(t, r.Result.Control, got.GetOperations())))
}

// plain is an object without what every request gets anew, what is computed, and what kube-apiserver adds as
// defaults to elements that are new.
func plain(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	delete(object, "status")
	if metadata, ok := object["metadata"].(map[string]any); ok {
		for _, name := range []string{"creationTimestamp", "generation", "uid", "resourceVersion", "managedFields"} {
			delete(metadata, name)
		}
	}
	prune(object)
	return object
}

// defaults are those of the built-in kinds that the recordings are about.
func defaults() map[string][]any {
	return map[string][]any{
		"terminationMessagePath": {"/dev/termination-log"}, "terminationMessagePolicy": {"File"}, "imagePullPolicy": {"IfNotPresent", "Always"},
		"protocol": {"TCP"}, "resources": {map[string]any{}}, "scheme": {"HTTP"}, "path": {"/"}, "defaultMode": {420.0}, "medium": {""},
		"failureThreshold": {3.0}, "periodSeconds": {10.0}, "successThreshold": {1.0}, "timeoutSeconds": {1.0},
	}
}

func prune(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "serviceAccount") // the old name of serviceAccountName, which is set with it
		requests, _ := v["requests"].(map[string]any)
		limits, _ := v["limits"].(map[string]any)
		for name, limit := range limits { // what is limited is requested
			if requests[name] == limit {
				delete(requests, name)
			}
		}
		if len(requests) == 0 {
			delete(v, "requests")
		}
		for name, member := range v {
			prune(member)
			if slices.ContainsFunc(defaults()[name], func(d any) bool { return cmp.Equal(d, member) }) {
				delete(v, name)
			}
		}
	case []any:
		for _, item := range v {
			prune(item)
		}
	}
}

// mutate asks the set through the SDK's server, which turns its answer into operations.
func mutate(t testing.TB, set *Set, r *sdk.Request) (*admissionv1.MutateResponse, error) {
	t.Helper()
	client := sdktest.StartMutator(t, sdk.MutatorFunc(func(ctx context.Context, r *sdk.Request) (*sdk.Mutation, error) {
		return set.Mutate(ctx, r, nil)
	}))
	return client.Mutate(t.Context(), &admissionv1.MutateRequest{Request: r.AdmissionRequest})
}

// TestRefused holds the loader against policies that kube-apiserver was asked to store.
func TestRefused(t *testing.T) { policytest.Refused(t, parseError) }
