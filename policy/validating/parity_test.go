package validating

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk/cluster"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// recording is one request and what kube-apiserver 1.36.3 decided with the policies in force.
type recording struct {
	policytest.Recorded

	Result struct {
		Allowed          bool              `json:"allowed"`
		Status           *metav1.Status    `json:"status"`
		Warnings         []string          `json:"warnings"`
		AuditAnnotations map[string]string `json:"auditAnnotations"`
		DeniedBy         string            `json:"deniedBy"`
		Control          struct {
			Warnings []string `json:"warnings"`
		} `json:"control"`
	} `json:"result"`
}

// TestParity compares with recorded decisions of a real kube-apiserver.
func TestParity(t *testing.T) {
	sets := recordedSets{}
	for _, r := range policytest.Recordings[recording](t, "testdata/vap.jsonl") {
		t.Run(r.ID, func(t *testing.T) {
			verdict, err := sets.of(t, r).Validate(t.Context(), r.Request(t), recordedCluster(t, r).Namespaces)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r.Result.Allowed, len(verdict.Denials) == 0); diff != "" {
				t.Fatalf("allowed (-kube-apiserver +here): %s\n%s\n%v", diff, r.About, verdict.Denials)
			}
			if r.Result.DeniedBy == "policy" {
				want := &admissionv1.Denial{
					Message: r.Result.Status.Details.Causes[0].Message,
					Reason:  string(r.Result.Status.Reason),
					Code:    r.Result.Status.Code,
				}
				same := func(d *admissionv1.Denial) bool {
					return d.GetMessage() == want.GetMessage() && d.GetReason() == want.GetReason() && d.GetCode() == want.GetCode()
				}
				// kube-apiserver evaluates policies in no fixed order and answers with the first denial.
				if !slices.ContainsFunc(verdict.Denials, same) {
					t.Errorf("no denial is kube-apiserver's\nkube-apiserver: %v\nhere: %v", want, verdict.Denials)
				}
			}
			var warnings []string
			for _, w := range r.Result.Warnings {
				if !slices.Contains(r.Result.Control.Warnings, w) {
					warnings = append(warnings, w)
				}
			}
			ignoreOrder := cmpopts.SortSlices(func(a, b string) bool { return a < b })
			if diff := cmp.Diff(warnings, verdict.Warnings, ignoreOrder, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-kube-apiserver +here):\n%s", diff)
			}
			if diff := cmp.Diff(r.Result.AuditAnnotations, verdict.AuditAnnotations, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("audit annotations (-kube-apiserver +here):\n%s", diff)
			}
		})
	}
}

// recordedSets are the policies of recordings, each of which several have.
type recordedSets map[string]*Set

func (s recordedSets) of(t *testing.T, r recording) *Set {
	t.Helper()
	key := fmt.Sprintf("%s", r.Policies)
	if s[key] == nil {
		known, err := policy.ClusterOf(recordedCluster(t, r))
		if err != nil {
			t.Fatal(err)
		}
		known.Objects = nil // the params are in the files
		set, err := Loader{Cluster: known}.Parse(r.Files())
		if err != nil {
			t.Fatal(err)
		}
		s[key] = set
	}
	return s[key]
}

// recordedCluster is what a service with a view of the cluster would know.
func recordedCluster(t *testing.T, r recording) *cluster.Cluster {
	t.Helper()
	var objects []runtime.Object
	for _, p := range r.Policies {
		o := &unstructured.Unstructured{}
		if err := json.Unmarshal(p, &o.Object); err != nil {
			t.Fatal(err)
		}
		switch {
		case o.GetKind() == "Namespace":
			ns := &corev1.Namespace{}
			if err := json.Unmarshal(p, ns); err != nil {
				t.Fatal(err)
			}
			objects = append(objects, ns)
		case o.GroupVersionKind().Group == rbacv1.GroupName:
			objects = append(objects, o)
		}
	}
	c, err := cluster.FromObjects(objects...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRefused holds the loader against policies that kube-apiserver was asked to store.
func TestRefused(t *testing.T) { policytest.Refused(t, parseError) }
