package mutating

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/policy/internal/policytest"
	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/sdktest"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// annotating is a policy about pods that adds to the annotation a what EXPRESSION says.
const annotating = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  failurePolicy: FAILUREPOLICY
  reinvocationPolicy: Never
  PARAMKIND
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}
  matchConditions: [{name: c, expression: "CONDITION"}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{metadata: Object.metadata{annotations: {'a': object.metadata.?annotations['a'].orValue('') + string(EXPRESSION) + ' '}}}"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p, PARAMREF}
`

type policyOptions struct{ failurePolicy, ref, condition, expression string }

func (o policyOptions) text() string {
	kind, ref := "", ""
	if o.ref != "" {
		kind, ref = "paramKind: {apiVersion: v1, kind: ConfigMap}", "paramRef: {"+o.ref+", parameterNotFoundAction: Deny}"
	}
	if o.condition == "" {
		o.condition = "true"
	}
	if o.failurePolicy == "" {
		o.failurePolicy = "Fail"
	}
	return strings.NewReplacer("FAILUREPOLICY", o.failurePolicy, "PARAMKIND", kind, ", PARAMREF", strings.TrimSuffix(", "+ref, ", "),
		"CONDITION", o.condition, "EXPRESSION", o.expression).Replace(annotating)
}

func parse(t *testing.T, l Loader, text string) *Set {
	t.Helper()
	set, err := l.Parse([]policy.File{{Name: "p.yaml", Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

func loadIn(t *testing.T, c *cluster.Cluster, text string) *Set {
	t.Helper()
	known, err := policy.ClusterOf(c)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, Loader{Cluster: known}, text)
}

// annotation evaluates the policy on a pod in team-a, and returns what is said: the annotation, the denial's message,
// or "error: " and the error's.
func annotation(t *testing.T, set *Set, known policy.Namespaces) string {
	t.Helper()
	r := podRequest(t)
	r.Namespace = "team-a"
	mutation, err := set.Mutate(t.Context(), r, known)
	switch {
	case err != nil:
		if status.Code(err) != codes.FailedPrecondition {
			t.Errorf("code %s", status.Code(err))
		}
		return "error: " + status.Convert(err).Message()
	case mutation.Denial != nil:
		return mutation.Denial.GetMessage()
	case mutation.Object == nil:
		return ""
	}
	return strings.TrimSpace(mutation.Object.(*corev1.Pod).Annotations["a"])
}

func TestParamsFromCluster(t *testing.T) {
	const both = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits, namespace: team-a, labels: {from: file}}\ndata: {text: file}\n"
	cases := map[string]struct{ ref, files, want string }{
		"by name, in the cluster only":      {ref: "name: limits", want: "cluster"},
		"by name, in both":                  {ref: "name: limits", files: both, want: "file"},
		"by name, in neither":               {ref: "name: other", want: "policy 'p' with binding 'b' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"},
		"by name, in another namespace":     {ref: "name: limits, namespace: team-b", files: both, want: "elsewhere"},
		"selected, in both":                 {ref: "selector: {}", files: both, want: "file other"},
		"selected, but not as in the files": {ref: "selector: {matchLabels: {from: cluster}}", files: both, want: "other"},
	}
	objects := func() []*corev1.ConfigMap {
		return []*corev1.ConfigMap{
			policytest.ConfigMap("team-a", "limits", "cluster"), policytest.ConfigMap("team-a", "more", "other"),
			policytest.ConfigMap("team-b", "limits", "elsewhere"),
		}
	}
	fixed, err := cluster.FromObjects(objects()[0], objects()[1], objects()[2])
	if err != nil {
		t.Fatal(err)
	}
	for kind, c := range map[string]*cluster.Cluster{"fixed": fixed, "live": policytest.LiveCluster(t, objects()...)} {
		for name, tc := range cases {
			t.Run(kind+" "+name, func(t *testing.T) {
				set := loadIn(t, c, policyOptions{ref: tc.ref, expression: "params.data.text"}.text()+tc.files)
				policytest.Eventually(t, func() bool { return set.Ready() == nil })
				if got := annotation(t, set, nil); got != tc.want {
					t.Errorf("want %q, got %q", tc.want, got)
				}
			})
		}
	}
}

// What was not listed is an error and not a denial.
func TestParamsNotListed(t *testing.T) {
	for failurePolicy, want := range map[string]string{"Fail": "v1 ConfigMap: not yet listed", "Ignore": ""} {
		set := loadIn(t, policytest.UnlistedCluster(t), policyOptions{failurePolicy: failurePolicy, ref: "name: limits", expression: "params.data.text"}.text())
		got := annotation(t, set, nil)
		if !strings.Contains(got, want) || strings.HasPrefix(got, "error: ") != (want != "") || set.Ready() == nil {
			t.Errorf("under %s: want %q, got %q", failurePolicy, want, got)
		}
	}
}

const mayUse = "authorizer.group('policy.example.com').resource('exemptions').namespace('team-a').name('n').check('use').allowed()"

func TestAuthorizer(t *testing.T) {
	cases := map[string]struct {
		options  policyOptions
		decision authorizer.Decision
		err      error
		want     string
	}{
		"allowed":                      {options: policyOptions{expression: mayUse}, decision: authorizer.DecisionAllow, want: "true"},
		"not allowed":                  {options: policyOptions{expression: mayUse}, decision: authorizer.DecisionNoOpinion, want: "false"},
		"cannot be asked":              {options: policyOptions{expression: mayUse}, err: errors.New("connection refused"), want: "error: MutatingAdmissionPolicy 'p' cannot be evaluated: asking who may do what: connection refused"},
		"cannot be asked, ignored":     {options: policyOptions{expression: mayUse, failurePolicy: "Ignore"}, err: errors.New("connection refused")},
		"condition, and it is allowed": {options: policyOptions{expression: mayUse, condition: mayUse}, decision: authorizer.DecisionAllow, want: "true"},
		"condition, and it is not":     {options: policyOptions{expression: "'x'", condition: mayUse}, decision: authorizer.DecisionDeny},
		"condition, cannot be asked":   {options: policyOptions{expression: "'x'", condition: "!" + mayUse}, err: errors.New("connection refused"), want: "error: MutatingAdmissionPolicy 'p' cannot be evaluated: asking who may do what: connection refused"},
		"condition, ignored":           {options: policyOptions{expression: "'x'", condition: "!" + mayUse, failurePolicy: "Ignore"}, err: errors.New("connection refused")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			asked := 0
			known := policy.Cluster{Authorizer: authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
				asked++
				return c.decision, "", c.err
			})}
			set := parse(t, Loader{Cluster: known}, c.options.text())
			if got := annotation(t, set, nil); got != c.want {
				t.Errorf("want %q, got %q", c.want, got)
			}
			if asked != 1 {
				t.Errorf("asked %d times; it is one question", asked)
			}
		})
	}
}

// Of a fixed cluster, the RBAC objects decide.
func TestAuthorizerByObjects(t *testing.T) {
	user := podRequest(t).GetUserInfo().GetUsername()
	role := &rbacv1.Role{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}, ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "exempt"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{"policy.example.com"}, Resources: []string{"exemptions"}, Verbs: []string{"use"}}},
	}
	binding := &rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}, ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "exempt"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "exempt"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	for want, objects := range map[string][]runtime.Object{"true": {role, binding}, "false": {role}} {
		c, err := cluster.FromObjects(objects...)
		if err != nil {
			t.Fatal(err)
		}
		r := podRequest(t)
		r.UserInfo.Groups = nil // an administrator's
		r.Namespace = "team-a"
		mutation, err := loadIn(t, c, policyOptions{expression: mayUse}.text()).Mutate(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(mutation.Object.(*corev1.Pod).Annotations["a"]); got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}

// oneNamespace knows itself.
type oneNamespace corev1.Namespace

func (n *oneNamespace) Get(name string) (*corev1.Namespace, error) {
	if name != n.Name {
		return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	}
	return (*corev1.Namespace)(n), nil
}

func TestWholeNamespace(t *testing.T) {
	text := policyOptions{expression: "namespaceObject.status.phase"}.text()
	teamA := &oneNamespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}, Status: corev1.NamespaceStatus{Phase: "Active"}}
	for want, known := range map[string]policy.Namespaces{
		"Active": teamA,
		"error: MutatingAdmissionPolicy 'p' cannot be evaluated: an expression reads namespaceObject.status.phase, which does not come with a request; start the service with a cluster, so that it knows whole namespaces": nil,
	} {
		r := podRequest(t)
		r.Namespace, r.NamespaceObject = "team-a", &admissionv1.Namespace{Name: "team-a"}
		mutation, err := parse(t, Loader{}, text).Mutate(t.Context(), r, known)
		got := "error: " + status.Convert(err).Message()
		if err == nil {
			got = strings.TrimSpace(mutation.Object.(*corev1.Pod).Annotations["a"])
		}
		if got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// widget is the definition of a kind whose list parts is merged by KEY.
const widget = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [KEY]
                items: {type: object, required: [KEY], properties: {id: {type: string}, name: {type: string}, size: {type: integer}}}
`

const partPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: p}
spec:
  failurePolicy: FAILUREPOLICY
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{operations: ["*"], apiGroups: [example.com], apiVersions: [v1], resources: [widgets]}]}
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: "Object{spec: Object.spec{parts: [Object.spec.parts{id: 'a', name: 'n', size: 2}]}}"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p}
`

// converters are Schemas of all kinds.
type converters func() managedfields.TypeConverter

func (c converters) GetTypeConverter(schema.GroupVersionKind) managedfields.TypeConverter { return c() }

// Whence a custom kind's schema comes: the files, a fixed cluster's definitions, the apiserver, in that order.
func TestSchemas(t *testing.T) {
	const (
		byID  = "[map[id:a name:n size:2] map[id:b name:n size:1]]"
		whole = "[map[id:a name:n size:2]]"
	)
	definition := func(key string) string { return strings.ReplaceAll(widget, "KEY", key) }
	fixed := func(key string) policy.Cluster {
		objects, err := cluster.ParseObjects("crd.yaml", []byte(definition(key)))
		if err != nil || len(objects) != 1 {
			t.Fatal(objects, err)
		}
		c, err := cluster.FromObjects(objects[0])
		if err != nil {
			t.Fatal(err)
		}
		known, err := policy.ClusterOf(c)
		if err != nil {
			t.Fatal(err)
		}
		return known
	}
	converterOf := func(key string) managedfields.TypeConverter {
		k := newKinds(nil)
		if err := k.learnFromCluster(fixed(key).Definitions, nil); err != nil {
			t.Fatal(err)
		}
		return k.custom[schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}].converter
	}
	live := func(converter managedfields.TypeConverter) Schemas {
		return converters(func() managedfields.TypeConverter { return converter })
	}
	cases := map[string]struct {
		loader        Loader
		files         string
		failurePolicy string
		want          string
		notes         int
	}{
		"none":                                {want: whole, notes: 1},
		"in a fixed cluster":                  {loader: Loader{Cluster: fixed("id")}, want: byID},
		"in the files":                        {files: definition("id"), want: byID},
		"in both, the files first":            {loader: Loader{Cluster: fixed("name")}, files: definition("id"), want: byID},
		"of the apiserver":                    {loader: Loader{Schemas: live(converterOf("id"))}, want: byID},
		"of the apiserver, and in the files":  {loader: Loader{Schemas: live(nil)}, files: definition("id"), want: byID},
		"not known to the apiserver":          {loader: Loader{Schemas: live(nil)}, want: "error: MutatingAdmissionPolicy 'p' cannot be evaluated: the apiserver publishes no schema of example.com/v1, Kind=Widget, or not yet"},
		"not known to the apiserver, ignored": {loader: Loader{Schemas: live(nil)}, failurePolicy: "Ignore", want: "[map[id:a name:m size:1] map[id:b name:n size:1]]"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			failurePolicy := c.failurePolicy
			if failurePolicy == "" {
				failurePolicy = "Fail"
			}
			set := parse(t, c.loader, strings.ReplaceAll(partPolicy, "FAILUREPOLICY", failurePolicy)+"---"+c.files)
			if len(set.Notes()) != c.notes {
				t.Errorf("notes: %q", set.Notes())
			}
			r := widgetRequest(t)
			response, err := mutate(t, set, r)
			got := "error: " + status.Convert(err).Message()
			if err == nil {
				object := decode(t, sdktest.Apply(t, r.GetObject(), response.GetOperations())).(map[string]any)
				got = fmt.Sprint(object["spec"].(map[string]any)["parts"])
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("want %s, got %s", c.want, got)
			}
		})
	}
}

// An apiserver that takes too long for a schema takes no more than the request's time.
func TestSlowSchemas(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	set := parse(t, Loader{Schemas: converters(func() managedfields.TypeConverter { <-release; return nil })}, strings.ReplaceAll(partPolicy, "FAILUREPOLICY", "Fail"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := set.Mutate(ctx, widgetRequest(t), nil); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func widgetRequest(t *testing.T) *sdk.Request {
	t.Helper()
	r := podRequest(t)
	kind := &admissionv1.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	resource := &admissionv1.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
	r.Kind, r.RequestKind, r.Resource, r.RequestResource = kind, kind, resource, resource
	r.Object = []byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"parts":[{"id":"a","name":"m","size":1},{"id":"b","name":"n","size":1}]}}`)
	return r
}
