package validating

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// paramPolicy denies with what the ConfigMap that it is given says.
const paramPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  failurePolicy: FAILUREPOLICY
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}
  validations: [{expression: "params.data.ok == 'yes'", messageExpression: "params.kind + ' ' + params.metadata.name + ' ' + params.data.text"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p, validationActions: [Deny], paramRef: {REF, parameterNotFoundAction: Deny}}
`

func TestParamsFromCluster(t *testing.T) {
	const inFile = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits, namespace: team-a, labels: {from: FROM}}\ndata: {text: file, ok: 'no'}\n"
	both := strings.ReplaceAll(inFile, "FROM", "file")
	cases := map[string]struct {
		ref, files string
		want       []string // ends of the denials
	}{
		"by name, in the cluster only":      {ref: "name: limits", want: []string{"ConfigMap limits cluster"}},
		"by name, in both":                  {ref: "name: limits", files: both, want: []string{"ConfigMap limits file"}},
		"by name, in neither":               {ref: "name: other", want: []string{"no params found for policy binding with `Deny` parameterNotFoundAction"}},
		"by name, in another namespace":     {ref: "name: limits, namespace: team-b", files: both, want: []string{"ConfigMap limits elsewhere"}},
		"selected, in both":                 {ref: "selector: {}", files: both, want: []string{"ConfigMap limits file", "ConfigMap more other"}},
		"selected, in the cluster":          {ref: "selector: {matchLabels: {from: cluster}}", want: []string{"ConfigMap limits cluster", "ConfigMap more other"}},
		"selected, but not as in the files": {ref: "selector: {matchLabels: {from: cluster}}", files: both, want: []string{"ConfigMap more other"}},
	}
	objects := func() []*corev1.ConfigMap {
		return []*corev1.ConfigMap{policytest.ConfigMap("team-a", "limits", "cluster"), policytest.ConfigMap("team-a", "more", "other"), policytest.ConfigMap("team-b", "limits", "elsewhere")}
	}
	fixed, err := cluster.FromObjects(objects()[0], objects()[1], objects()[2])
	if err != nil {
		t.Fatal(err)
	}
	for kind, c := range map[string]*cluster.Cluster{"fixed": fixed, "live": policytest.LiveCluster(t, objects()...)} {
		for name, tc := range cases {
			t.Run(kind+" "+name, func(t *testing.T) {
				set := loadIn(t, c, strings.NewReplacer("REF", tc.ref, "FAILUREPOLICY", "Fail").Replace(paramPolicy)+tc.files)
				policytest.Eventually(t, func() bool { return set.Ready() == nil })
				r := podRequest(t)
				r.Namespace = "team-a"
				verdict, err := set.Validate(t.Context(), r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(verdict.Denials) != len(tc.want) {
					t.Fatalf("want %q, got %v", tc.want, verdict.Denials)
				}
				for _, want := range tc.want {
					if !strings.Contains(verdictText(verdict, nil), want+"\n") {
						t.Errorf("want %q, got %v", want, verdict.Denials)
					}
				}
			})
		}
	}
}

// A param that was made a moment ago is asked for; what could not be listed is an error.
func TestParamsNotListed(t *testing.T) {
	limits := policytest.ConfigMap("team-a", "limits", "direct")
	c := policytest.LiveCluster(t)
	known, err := policy.ClusterOf(c)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("REF", "name: limits", "FAILUREPOLICY", "Fail").Replace(paramPolicy)
	for name, tc := range map[string]struct {
		get  error
		want string
	}{
		"it is there":           {want: "ConfigMap limits direct"},
		"it could not be asked": {get: errors.New("connection refused"), want: "params are not known: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			known.Get = func(context.Context, schema.GroupVersionKind, string, string) (*unstructured.Unstructured, error) {
				content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(limits)
				return &unstructured.Unstructured{Object: content}, errors.Join(err, tc.get)
			}
			set, err := Loader{Cluster: known}.Parse([]policy.File{{Name: "p.yaml", Data: []byte(text)}})
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			policytest.Eventually(t, func() bool { return set.Ready() == nil })
			r := podRequest(t)
			r.Namespace = "team-a"
			verdict, err := set.Validate(t.Context(), r, nil)
			got := verdictText(verdict, err)
			if !strings.Contains(got, tc.want) || (status.Code(err) == codes.FailedPrecondition) != (tc.get != nil) {
				t.Errorf("want %q, got %q", tc.want, got)
			}
		})
	}

	unlisted := policytest.UnlistedCluster(t)
	for failurePolicy, fails := range map[string]bool{"Fail": true, "Ignore": false} {
		set := loadIn(t, unlisted, strings.NewReplacer("REF", "name: limits", "FAILUREPOLICY", failurePolicy).Replace(paramPolicy))
		r := podRequest(t)
		r.Namespace = "team-a"
		start := time.Now()
		verdict, err := set.Validate(t.Context(), r, nil)
		if fails != (status.Code(err) == codes.FailedPrecondition) || fails && !strings.Contains(err.Error(), "v1 ConfigMap: not yet listed") {
			t.Errorf("not listed, under %s: %v, %v", failurePolicy, verdict, err)
		}
		if err == nil && len(verdict.Denials) > 0 || set.Ready() == nil || time.Since(start) > 900*time.Millisecond {
			t.Errorf("not listed, under %s: %v, after %v", failurePolicy, verdict, time.Since(start))
		}
	}
}

func TestAuthorizer(t *testing.T) {
	const spec = pods + "\n" + `
validations:
- {expression: "authorizer.group('policy.example.com').resource('exemptions').namespace('team-a').name('n').check('use').allowed()", message: not allowed}
- {expression: "!authorizer.path('/x').check('get').allowed()"}
- {expression: "!authorizer.path('/x').check('get').errored()"}`
	var asked int
	answer := func(decision authorizer.Decision, err error) policy.Cluster {
		asked = 0
		return policy.Cluster{Authorizer: authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			asked++
			if _, ok := ctx.Deadline(); !ok {
				t.Error("asked without a deadline")
			}
			if !a.IsResourceRequest() {
				return authorizer.DecisionNoOpinion, "", nil
			}
			return decision, "", err
		})}
	}
	cases := map[string]struct {
		decision authorizer.Decision
		err      error
		want     string
	}{
		"allowed":         {decision: authorizer.DecisionAllow},
		"not allowed":     {decision: authorizer.DecisionNoOpinion, want: "not allowed"},
		"denied":          {decision: authorizer.DecisionDeny, want: "not allowed"},
		"cannot be asked": {decision: authorizer.DecisionNoOpinion, err: errors.New("connection refused"), want: "error: ValidatingAdmissionPolicy 'p' cannot be evaluated: asking who may do what: connection refused"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, failurePolicy := range []string{"Fail", "Ignore"} {
				known := answer(c.decision, c.err)
				set, err := Loader{Cluster: known}.Parse([]policy.File{{Name: "p.yaml", Data: []byte(boundText(spec + "\nfailurePolicy: " + failurePolicy))}})
				if err != nil {
					t.Fatal(err)
				}
				verdict, err := set.Validate(t.Context(), podRequest(t), nil)
				got, want := "", c.want
				if err != nil {
					got = "error: " + status.Convert(err).Message()
				} else if len(verdict.Denials) > 0 {
					got = verdict.Denials[0].Message
				}
				if failurePolicy == "Ignore" && c.err != nil {
					want = ""
				}
				if want == "" != (got == "") || !strings.HasSuffix(got, want) {
					t.Errorf("under %s: want %q, got %q", failurePolicy, want, got)
				}
				if asked != 2 {
					t.Errorf("asked %d times; each question is one", asked)
				}
			}
		})
	}
}

// Under Ignore what could not be asked for one param takes nothing away from what another one has said.
func TestAuthorizerForOneOfTheParams(t *testing.T) {
	text := strings.NewReplacer("REF", "selector: {}, namespace: team-a", "FAILUREPOLICY", "Ignore", "params.data.ok == 'yes'",
		"params.metadata.name == 'asks' ? authorizer.path('/x').check('get').allowed() : false").Replace(paramPolicy) + `---
apiVersion: v1
kind: ConfigMap
metadata: {name: FIRST, namespace: team-a}
data: {text: one, ok: 'no'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: SECOND, namespace: team-a}
data: {text: two, ok: 'no'}
`
	known := policy.Cluster{Authorizer: authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "", errors.New("connection refused")
	})}
	for _, names := range [][2]string{{"a", "asks"}, {"asks", "b"}} {
		files := strings.NewReplacer("FIRST", names[0], "SECOND", names[1]).Replace(text)
		set, err := Loader{Cluster: known}.Parse([]policy.File{{Name: "p.yaml", Data: []byte(files)}})
		if err != nil {
			t.Fatal(err)
		}
		verdict, err := set.Validate(t.Context(), podRequest(t), nil)
		if err != nil || len(verdict.Denials) != 1 {
			t.Errorf("%v: want the denial of the one that does not ask, got %v, %v", names, verdict, err)
		}
	}
}

// What does not come with a request is known where the service has a view of the cluster, and an error elsewhere.
func TestWholeNamespace(t *testing.T) {
	const spec = pods + "\n" + `validations: [{expression: "namespaceObject.status.phase == 'Terminating'", messageExpression: "namespaceObject.status.phase + namespaceObject.metadata.labels.env"}]`
	sent := &admissionv1.Namespace{Name: "team-a", Labels: map[string]string{"env": "sent"}}
	live := &oneNamespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Labels: map[string]string{"env": "known"}}, Status: corev1.NamespaceStatus{Phase: "Active"}}
	inFile := &oneNamespace{ObjectMeta: live.ObjectMeta}
	cases := map[string]struct {
		sent  *admissionv1.Namespace
		known policy.Namespaces
		want  string
	}{
		"not known":          {sent: sent, want: "an expression reads namespaceObject.status.phase, which does not come with a request; start the service with a cluster, so that it knows whole namespaces"},
		"another is known":   {sent: sent, known: &oneNamespace{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, want: "an expression reads namespaceObject.status.phase"},
		"known":              {known: live, want: "denied request: Activeknown"},
		"known, and sent":    {sent: sent, known: live, want: "denied request: Activesent"},
		"known, from a file": {known: inFile, want: "denied request: Activeknown"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := podRequest(t)
			r.Namespace, r.NamespaceObject = "team-a", c.sent
			verdict, err := bound(t, spec).Validate(t.Context(), r, c.known)
			got := verdictText(verdict, err)
			if !strings.Contains(got, c.want) {
				t.Errorf("want %q, got %q", c.want, got)
			}
		})
	}
}

// verdictText has a line for each denial, or the error's message.
func verdictText(verdict *sdk.Verdict, err error) string {
	if err != nil {
		return status.Convert(err).Message()
	}
	var b strings.Builder
	for _, d := range verdict.Denials {
		b.WriteString(d.GetMessage() + "\n")
	}
	return b.String()
}

func loadIn(t *testing.T, c *cluster.Cluster, text string) *Set {
	t.Helper()
	known, err := policy.ClusterOf(c)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Loader{Cluster: known}.Parse([]policy.File{{Name: "p.yaml", Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}
