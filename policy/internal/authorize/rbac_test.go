package authorize

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/yaml"
)

const objects = `
clusterRoles:
- metadata: {name: exempt}
  rules:
  - {apiGroups: [policy.example.com], resources: [exemptions], resourceNames: [privileged], verbs: [use]}
  - {apiGroups: [""], resources: [pods/status, "*/scale"], verbs: ["*"]}
  - {nonResourceURLs: [/metrics, /logs/*], verbs: [get]}
- metadata: {name: all}
  aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: all}}]}
  rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}] # not its own, but what it selects
- metadata: {name: part, labels: {to: all}}
  rules: [{apiGroups: [example.com], resources: [widgets], verbs: [get]}]
- metadata: {name: nested, labels: {to: all}}
  aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: nested}}]}
- metadata: {name: inner, labels: {to: nested}}
  rules: [{apiGroups: [example.com], resources: [gadgets], verbs: [get]}]
clusterRoleBindings:
- metadata: {name: exempt}
  roleRef: {kind: ClusterRole, name: exempt}
  subjects: [{kind: Group, name: "hold:x"}, {kind: User, name: ann}, {kind: ServiceAccount, name: bot, namespace: ops}]
- metadata: {name: lost}
  roleRef: {kind: ClusterRole, name: gone}
  subjects: [{kind: User, name: lost}]
- metadata: {name: all}
  roleRef: {kind: ClusterRole, name: all}
  subjects: [{kind: User, name: agg}]
roles:
- metadata: {name: reader, namespace: team-a}
  rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
roleBindings:
- metadata: {name: readers, namespace: team-a}
  roleRef: {kind: Role, name: reader}
  subjects: [{kind: User, name: ann}, {kind: ServiceAccount, name: local}]
- metadata: {name: editors, namespace: team-b}
  roleRef: {kind: ClusterRole, name: edit}
  subjects: [{kind: User, name: ed}]
`

func TestRBAC(t *testing.T) {
	var all Objects
	if err := yaml.UnmarshalStrict([]byte(objects), &all); err != nil {
		t.Fatal(err)
	}
	rbac, err := NewRBAC(all)
	if err != nil {
		t.Fatal(err)
	}
	type ask = authorizer.AttributesRecord
	as := func(name string, groups ...string) user.Info { return &user.DefaultInfo{Name: name, Groups: groups} }
	use := ask{Verb: "use", APIGroup: "policy.example.com", Resource: "exemptions", Name: "privileged", ResourceRequest: true}
	get := func(group, resource, sub, namespace string) ask {
		return ask{Verb: "get", APIGroup: group, Resource: resource, Subresource: sub, Namespace: namespace, ResourceRequest: true}
	}
	named := func(a ask, name string) ask { a.Name = name; return a }
	const no = "no"
	cases := map[string]struct {
		user user.Info
		ask  ask
		want string // the reason; no: not allowed
	}{
		"masters":                        {as("root", "system:masters"), use, ""},
		"by group":                       {as("x", "hold:x"), use, `RBAC: allowed by ClusterRoleBinding "exempt" of ClusterRole "exempt" to Group "hold:x"`},
		"by user":                        {as("ann"), use, `RBAC: allowed by ClusterRoleBinding "exempt" of ClusterRole "exempt" to User "ann"`},
		"by service account":             {as("system:serviceaccount:ops:bot"), use, `RBAC: allowed by ClusterRoleBinding "exempt" of ClusterRole "exempt" to ServiceAccount "bot/ops"`},
		"another name":                   {as("ann"), named(use, "other"), no},
		"nobody":                         {as("nobody"), use, no},
		"a subresource":                  {as("ann"), get("", "pods", "status", "x"), `RBAC: allowed by ClusterRoleBinding "exempt" of ClusterRole "exempt" to User "ann"`},
		"any resource's subresource":     {as("ann"), get("", "things", "scale", "x"), `RBAC: allowed by ClusterRoleBinding "exempt" of ClusterRole "exempt" to User "ann"`},
		"the resource of a subresource":  {as("ann"), get("", "things", "", "x"), no},
		"a path":                         {as("ann"), ask{Verb: "get", Path: "/metrics"}, `RBAC: allowed by ClusterRoleBinding "exempt" of ClusterRole "exempt" to User "ann"`},
		"a path below":                   {as("ann"), ask{Verb: "get", Path: "/logs/x"}, `RBAC: allowed by ClusterRoleBinding "exempt" of ClusterRole "exempt" to User "ann"`},
		"another path":                   {as("ann"), ask{Verb: "get", Path: "/logsx"}, no},
		"a role":                         {as("ann"), get("", "pods", "", "team-a"), `RBAC: allowed by RoleBinding "readers/team-a" of Role "reader" to User "ann"`},
		"a role elsewhere":               {as("ann"), get("", "pods", "", "team-b"), no},
		"a role in no namespace":         {as("ann"), get("", "pods", "", ""), no},
		"a service account of the place": {as("system:serviceaccount:team-a:local"), get("", "pods", "", "team-a"), `RBAC: allowed by RoleBinding "readers/team-a" of Role "reader" to ServiceAccount "local/team-a"`},
		"a missing role":                 {as("lost"), use, no + `RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found`},
		"aggregated":                     {as("agg"), get("example.com", "widgets", "", ""), `RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "all" to User "agg"`},
		"aggregated twice":               {as("agg"), get("example.com", "gadgets", "", ""), `RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "all" to User "agg"`},
		"only aggregated":                {as("agg"), use, no},
		"what every cluster has":         {as("x", "system:authenticated"), ask{Verb: "get", Path: "/version"}, `RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"`},
		"edit, which every cluster has":  {as("ed"), get("apps", "deployments", "", "team-b"), `RBAC: allowed by RoleBinding "editors/team-b" of ClusterRole "edit" to User "ed"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.ask.User = c.user
			decision, got, err := rbac.Authorize(t.Context(), c.ask)
			if err != nil {
				t.Fatal(err)
			}
			if decision != authorizer.DecisionAllow {
				got = no + got
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a file has counts for more than what every cluster has from the start.
func TestRBACOverridesDefaults(t *testing.T) {
	none := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "system:discovery"}}
	rbac, err := NewRBAC(Objects{ClusterRoles: []rbacv1.ClusterRole{none}})
	if err != nil {
		t.Fatal(err)
	}
	decision, reason, err := rbac.Authorize(t.Context(), authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: "x", Groups: []string{"system:authenticated"}}, Verb: "get", Path: "/apis",
	})
	if err != nil || decision == authorizer.DecisionAllow {
		t.Errorf("%v, %q, %v", decision, reason, err)
	}
}

// What a file with aggregated roles says of their rules, as kubectl get writes it, may be old: it counts for nothing,
// however many roles are between.
func TestAggregatedRolesForgetWhatTheyHad(t *testing.T) {
	rule := func(verb string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{Verbs: []string{verb}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	}
	var objects Objects
	chain := strings.Split("abcdefghijkl", "")
	for i, name := range chain {
		role := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"is": name}}, Rules: rule("old-" + name)}
		if i+1 < len(chain) {
			role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"is": chain[i+1]}}}}
		} else {
			role.Rules = rule("get")
		}
		objects.ClusterRoles = append(objects.ClusterRoles, role)
	}
	rbac, err := NewRBAC(objects)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rule("get"), rbac.clusterRoles["a"].Rules); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
