package validating

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	reviewv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// recording is one request and what kube-apiserver 1.36.3 decided with the policies in force.
type recording struct {
	ID       string            `json:"id"`
	About    string            `json:"about"`
	Policies []json.RawMessage `json:"policies"`
	Request  struct {
		Review *reviewv1.AdmissionRequest `json:"review"`
	} `json:"request"`
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
	for _, r := range recordings(t, "testdata/vap.jsonl") {
		t.Run(r.ID, func(t *testing.T) {
			verdict, err := sets.of(t, r).Validate(t.Context(), policytest.Request(t, r.Request.Review, recordedNamespace(r)), recordedCluster(t, r).Namespaces)
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
		set, err := Loader{Cluster: known}.Parse(filesOfRecording(r))
		if err != nil {
			t.Fatal(err)
		}
		s[key] = set
	}
	return s[key]
}

func filesOfRecording(r recording) []policy.File {
	var files []policy.File
	for i, p := range r.Policies {
		files = append(files, policy.File{Name: fmt.Sprintf("%d.json", i), Data: p})
	}
	return files
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

func recordedNamespace(r recording) *admissionv1.Namespace {
	for _, p := range r.Policies {
		var ns metav1.PartialObjectMetadata
		if json.Unmarshal(p, &ns) == nil && ns.Kind == "Namespace" && ns.Name == r.Request.Review.Namespace {
			return &admissionv1.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}
		}
	}
	if ns := r.Request.Review.Namespace; ns != "" {
		return &admissionv1.Namespace{Name: ns, Labels: map[string]string{"kubernetes.io/metadata.name": ns}}
	}
	return nil
}

func recordings(t *testing.T, file string) []recording {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []recording
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s:%d: %v", file, len(all)+1, err)
		}
		all = append(all, r)
	}
	if err := errors.Join(lines.Err()); err != nil || len(all) == 0 {
		t.Fatalf("%s: %d recordings, %v", file, len(all), err)
	}
	return all
}

// TestRefused holds the loader against policies that kube-apiserver was asked to store.
func TestRefused(t *testing.T) {
	f, err := os.ReadFile("testdata/policies-rejected.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(f)) {
		var r struct {
			ID     string          `json:"id"`
			Object json.RawMessage `json:"object"`
			Result struct {
				Accepted bool           `json:"accepted"`
				Status   *metav1.Status `json:"status"`
			} `json:"result"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		t.Run(r.ID, func(t *testing.T) {
			_, err := Parse([]policy.File{{Name: "policy.json", Data: r.Object}})
			if r.Result.Accepted {
				if err != nil {
					t.Fatalf("kube-apiserver accepts it: %v", err)
				}
				return
			}
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("kube-apiserver refuses it: %s\nhere: %v", r.Result.Status.Message, err)
			}
			for _, cause := range r.Result.Status.Details.Causes {
				if !slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Path == cause.Field }) {
					t.Errorf("no problem at %s: %s\nhere: %v", cause.Field, cause.Message, problems)
				}
			}
		})
	}
}
