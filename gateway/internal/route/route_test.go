package route

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// A testCase is one entry of testdata/routes.yaml.
type testCase struct {
	Name    string      `json:"name"`
	Backend backendCase `json:"backend"`
	Request requestCase `json:"request"`
	Matches bool        `json:"matches"`
	Error   string      `json:"error"`
	Invalid []string    `json:"invalid"`
}

// backendCase is the part of a backend that routes, in the API's own words.
type backendCase struct {
	Rules             []admissionregistrationv1.RuleWithOperations `json:"rules"`
	MatchPolicy       admissionregistrationv1.MatchPolicyType      `json:"matchPolicy"`
	NamespaceSelector *metav1.LabelSelector                        `json:"namespaceSelector"`
	ObjectSelector    *metav1.LabelSelector                        `json:"objectSelector"`
	MatchConditions   []admissionregistrationv1.MatchCondition     `json:"matchConditions"`
}

// requestCase is a request in short: resources as group/version/resource/subresource, "" for none.
type requestCase struct {
	Operation string          `json:"operation"`
	Resource  string          `json:"resource"`
	Requested string          `json:"requested"`
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	User      string          `json:"user"`
	Groups    []string        `json:"groups"`
	Object    json.RawMessage `json:"object"`
	OldObject json.RawMessage `json:"oldObject"`
	Options   json.RawMessage `json:"options"`
}

func (r requestCase) proto() *admissionv1.AdmissionRequest {
	resource, sub := parseResource(r.Resource)
	out := &admissionv1.AdmissionRequest{
		Uid: "1", Resource: resource, SubResource: sub, RequestResource: resource, RequestSubResource: sub,
		Kind:      &admissionv1.GroupVersionKind{Group: resource.GetGroup(), Version: resource.GetVersion(), Kind: r.Kind},
		Namespace: r.Namespace, Name: r.Name, Object: r.Object, OldObject: r.OldObject, Options: r.Options,
		Operation: admissionv1.Operation(admissionv1.Operation_value["OPERATION_"+r.Operation]),
		UserInfo:  &admissionv1.UserInfo{Username: r.User, Groups: r.Groups},
	}
	if r.Requested != "" {
		out.RequestResource, out.RequestSubResource = parseResource(r.Requested)
	}
	return out
}

func parseResource(s string) (*admissionv1.GroupVersionResource, string) {
	parts := append(strings.Split(s, "/"), "", "", "", "")
	return &admissionv1.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}, parts[3]
}

// known are the namespaces of the tests.
type known map[string]map[string]string

func (k known) Get(_ context.Context, name string) (*corev1.Namespace, error) {
	labels, ok := k[name]
	switch {
	case name == "broken":
		return nil, errors.New("the apiserver does not answer")
	case !ok:
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, name)
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, nil
}

func TestMatch(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	compiler := NewCompiler()
	namespaces := known{"team-a": {"env": "prod", "kubernetes.io/metadata.name": "team-a"}, "team-b": {}}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			matcher, errs := compiler.Compile(Spec{
				Name: "test", Rules: c.Backend.Rules, MatchPolicy: c.Backend.MatchPolicy, NamespaceSelector: c.Backend.NamespaceSelector,
				ObjectSelector: c.Backend.ObjectSelector, MatchConditions: c.Backend.MatchConditions,
			}, field.NewPath("backends").Index(0))
			if len(errs) != len(c.Invalid) {
				t.Fatalf("compiling says %v, want %q", errs, c.Invalid)
			}
			for i, want := range c.Invalid {
				if !strings.Contains(errs[i].Error(), want) {
					t.Errorf("compiling says %v, want %q", errs[i], want)
				}
			}
			if len(c.Invalid) > 0 {
				return
			}
			got, err := matcher.Match(t.Context(), NewView(c.Request.proto(), namespaces))
			if (err != nil) != (c.Error != "") || err != nil && !strings.Contains(err.Error(), c.Error) {
				t.Fatalf("error is %v, want %q", err, c.Error)
			}
			if got != c.Matches {
				t.Errorf("matches is %v, want %v", got, c.Matches)
			}
		})
	}
}
