package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	reviewv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/validating"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/test/internal/harness"
)

// policyCase is one set of ValidatingAdmissionPolicies and what is asked of them. In all of it $NS stands for the
// case's namespace.
type policyCase struct {
	Name     string                    `json:"name"`
	Objects  []map[string]any          `json:"objects"`  // that exist, made in this order
	Policies map[string]map[string]any `json:"policies"` // specs, by name
	Bindings map[string]map[string]any `json:"bindings"` // specs, by name; none: each policy has one that denies
	Requests []policyRequest           `json:"requests"`
}

// policyRequest is one request, sent for a dry run.
type policyRequest struct {
	Send  string              `json:"send"` // method and path
	Body  json.RawMessage     `json:"body"`
	User  string              `json:"user"` // default: tester, who may do everything
	Extra map[string][]string `json:"extra"`
	Want  string              `json:"want"` // part of the denial, so that a case means something; empty: allowed
	Wet   bool                `json:"wet"`  // no dry run
}

// policyTest is a kube-apiserver, and something that sees every request that it has about a user of the tests.
type policyTest struct {
	controlPlane *harness.ControlPlane
	admin        *http.Client
	cluster      *cluster.Cluster
	known        policy.Cluster

	mu      sync.Mutex
	reviews map[string]*reviewv1.AdmissionRequest // the last, by user
}

// TestPolicies applies the same policies to kube-apiserver and to the evaluator, sends kube-apiserver the same
// requests that the evaluator is asked about, and compares what they say. What policies ask of the cluster, the
// evaluator asks that kube-apiserver.
func TestPolicies(t *testing.T) {
	p := newPolicyTest(t)
	sdktest.Cases(t, "testdata/policy-language/*.yaml", p.run)
}

func newPolicyTest(t *testing.T) *policyTest {
	t.Helper()
	w := newControlPlane(t)
	p := &policyTest{controlPlane: w.controlPlane, reviews: map[string]*reviewv1.AdmissionRequest{}}
	p.admin = must(rest.HTTPClientFor(p.controlPlane.Config))(t)
	p.cluster = must(cluster.Source{Kubeconfig: p.controlPlane.Kubeconfig}.Open(cluster.Options{Watch: []cluster.Resource{cluster.Namespaces}}))(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.cluster.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	p.known = must(policy.ClusterOf(p.cluster))(t)
	p.watch(t, w.pki)

	bound := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"testers"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"testers"}]}`
	p.make(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", []byte(bound))
	// kube-apiserver 1.36 finds no params any more once there was no binding at all; this one stays.
	p.policy(t, "stays", map[string]any{
		"paramKind":        map[string]any{"apiVersion": "v1", "kind": "ConfigMap"},
		"matchConstraints": rulesAbout("CREATE", "nothing.example.com", "nothings"),
		"validations":      []any{map[string]any{"expression": "true"}},
	})
	p.binding(t, "stays", map[string]any{"policyName": "stays", "validationActions": []any{"Deny"}})
	return p
}

// watch registers a webhook that keeps what it is shown of users who test. It is a mutating one, because those are
// called also for what policies will deny.
func (p *policyTest) watch(t *testing.T, pki *harness.PKI) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review reviewv1.AdmissionReview
		if json.NewDecoder(r.Body).Decode(&review) != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		p.reviews[review.Request.UserInfo.Username] = review.Request
		p.mu.Unlock()
		review.Response = &reviewv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review) // or kube-apiserver has gone
	}))
	pair := must(pki.Server("reviews"))(t)
	server.TLS = must(serverTLS(pair))(t)
	server.StartTLS()
	t.Cleanup(server.Close)
	rule := rulesAbout("*", "*", "*/*")["resourceRules"]
	rule.([]any)[0].(map[string]any)["apiVersions"] = []any{"*"}
	p.make(t, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", must(json.Marshal(map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": map[string]any{"name": "reviews"},
		"webhooks": []any{map[string]any{
			"name": "reviews.example.com", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "failurePolicy": "Ignore",
			"matchConditions": []any{map[string]any{"name": "test", "expression": "'testers' in request.userInfo.groups"}},
			"rules":           rule,
			"clientConfig":    map[string]any{"url": "https://" + server.Listener.Addr().String() + "/", "caBundle": must(os.ReadFile(pki.CAFile))(t)},
		}},
	}))(t))
}

func rulesAbout(operation, group, resource string) map[string]any {
	return map[string]any{"resourceRules": []any{map[string]any{
		"operations": []any{operation}, "apiGroups": []any{group}, "apiVersions": []any{"v1"}, "resources": []any{resource},
	}}}
}

func (p *policyTest) run(t *testing.T, c policyCase) {
	ns := "case-" + strings.ToLower(uuid.NewString()[:8])
	c = in(t, ns, c)
	p.make(t, "/api/v1/namespaces", fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q,"labels":{"env":"prod"},"annotations":{"owner":"a"}}}`, ns))
	p.make(t, "/api/v1/namespaces/"+ns+"/serviceaccounts", []byte(`{"metadata":{"name":"default"}}`)) // no controller does
	for _, o := range c.Objects {
		object := &unstructured.Unstructured{Object: o}
		path := must(p.path(t, object))(t)
		p.make(t, path, must(json.Marshal(o))(t))
	}
	set := p.apply(t, ns, c)
	for i, r := range c.Requests {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) { p.compare(t, set, r) })
	}
}

// in puts the namespace's name into a case.
func in(t *testing.T, ns string, c policyCase) policyCase {
	t.Helper()
	text := strings.ReplaceAll(string(must(json.Marshal(c))(t)), "$NS", ns)
	var filled policyCase
	if err := json.Unmarshal([]byte(text), &filled); err != nil {
		t.Fatal(err)
	}
	return filled
}

// apply puts the policies in force in kube-apiserver, and returns the evaluator's.
func (p *policyTest) apply(t *testing.T, ns string, c policyCase) *validating.Set {
	t.Helper()
	var files []policy.File
	add := func(object []byte) {
		files = append(files, policy.File{Name: fmt.Sprintf("%d.json", len(files)), Data: object})
	}
	if c.Bindings == nil {
		c.Bindings = map[string]map[string]any{}
		for name := range c.Policies {
			c.Bindings[name] = map[string]any{"policyName": name, "validationActions": []any{"Deny"}}
		}
	}
	for name, spec := range c.Policies {
		add(p.policy(t, name, spec))
	}
	for name, spec := range c.Bindings {
		add(p.binding(t, name, spec))
	}
	// Made last, it is in force when all are.
	p.policy(t, "last", map[string]any{
		"matchConstraints": rulesAbout("CREATE", "coordination.k8s.io", "leases"),
		"validations":      []any{map[string]any{"expression": "object.metadata.name != 'probe-" + ns + "'"}},
	})
	p.binding(t, "last", map[string]any{"policyName": "last", "validationActions": []any{"Deny"}})
	eventually(t, func() error {
		a := p.send(t, p.admin, http.MethodPost, "/apis/coordination.k8s.io/v1/namespaces/"+ns+"/leases?dryRun=All", fmt.Appendf(nil, `{"metadata":{"name":"probe-%s"}}`, ns), nil)
		if a.status == nil || !strings.Contains(a.status.Message, "'last'") {
			return errors.New("the policies are not in force")
		}
		return nil
	})
	set := must(validating.Loader{Cluster: p.known}.Parse(files))(t)
	t.Cleanup(set.Close)
	eventually(t, set.Ready)
	return set
}

func (p *policyTest) policy(t *testing.T, name string, spec map[string]any) []byte {
	t.Helper()
	return p.registered(t, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", name, spec)
}

func (p *policyTest) binding(t *testing.T, name string, spec map[string]any) []byte {
	t.Helper()
	return p.registered(t, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", name, spec)
}

func (p *policyTest) registered(t *testing.T, kind, resource, name string, spec map[string]any) []byte {
	t.Helper()
	object := must(json.Marshal(map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec,
	}))(t)
	path := "/apis/admissionregistration.k8s.io/v1/" + resource
	p.make(t, path, object)
	t.Cleanup(func() { p.send(t, p.admin, http.MethodDelete, path+"/"+name, nil, nil) })
	return object
}

// path returns where an object is made.
func (p *policyTest) path(t *testing.T, o *unstructured.Unstructured) (string, error) {
	t.Helper()
	gvk := o.GroupVersionKind()
	base := "/apis/" + gvk.GroupVersion().String()
	if gvk.Group == "" {
		base = "/api/" + gvk.Version
	}
	var resource string
	eventually(t, func() error { // a kind may just have been defined
		served, err := p.cluster.Client.Discovery().ServerResourcesForGroupVersion(gvk.GroupVersion().String())
		if err != nil {
			return err
		}
		for _, r := range served.APIResources {
			if r.Kind == gvk.Kind && !strings.Contains(r.Name, "/") {
				resource = r.Name
				return nil
			}
		}
		return fmt.Errorf("%s is not served", gvk)
	})
	if o.GetNamespace() != "" {
		base += "/namespaces/" + o.GetNamespace()
	}
	return base + "/" + resource, nil
}

func (p *policyTest) make(t *testing.T, path string, object []byte) {
	t.Helper()
	eventually(t, func() error {
		a := p.send(t, p.admin, http.MethodPost, path, object, nil)
		if a.status != nil && a.status.Reason == metav1.StatusReasonInvalid {
			t.Fatalf("making %s: %s", path, a.status.Message)
		}
		if a.status != nil && a.status.Reason != metav1.StatusReasonAlreadyExists {
			return fmt.Errorf("making %s: %s", path, a.status.Message)
		}
		return nil
	})
}

// compare sends a request, and asks the evaluator about what kube-apiserver made of it.
func (p *policyTest) compare(t *testing.T, set *validating.Set, r policyRequest) {
	method, path, ok := strings.Cut(r.Send, " ")
	if !ok {
		t.Fatalf("no method and path: %q", r.Send)
	}
	if !r.Wet {
		path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "dryRun=All"
	}
	user := r.User
	if user == "" {
		user = "tester"
	}
	config := rest.CopyConfig(p.controlPlane.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"testers", "system:authenticated"}, Extra: r.Extra}
	client := must(rest.HTTPClientFor(config))(t)
	p.take(user)
	id := uuid.NewString()
	got := p.send(t, client, method, path, r.Body, http.Header{"Audit-Id": []string{id}})
	review := p.take(user)

	there := decisionOf(got, p.audited(t, id))
	if (there.Message == "") != (r.Want == "") || !strings.Contains(there.Message, r.Want) {
		t.Errorf("the case means something else: want %q, kube-apiserver: %+v %+v", r.Want, there, got.status)
	}
	if review == nil {
		t.Fatal("kube-apiserver asked nobody")
	}
	verdict, err := set.Validate(t.Context(), sdktest.ReviewRequest(t, review, nil), p.cluster.Namespaces)
	if err != nil {
		t.Fatalf("the evaluator: %v; kube-apiserver: %+v", err, there)
	}
	here := decided{Warnings: verdict.Warnings, Annotations: verdict.AuditAnnotations}
	for i, d := range verdict.Denials {
		one := decided{Message: d.GetMessage(), Reason: d.GetReason(), Code: d.GetCode()}
		// kube-apiserver evaluates policies in no fixed order, and tells the first denial.
		if i == 0 || one.Message == there.Message {
			here.Message, here.Reason, here.Code = one.Message, one.Reason, one.Code
		}
	}
	ignoreOrder(t, there.Annotations, here.Annotations)
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(there, here, sorted, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-kube-apiserver +evaluator):\n%s", diff)
	}
}
