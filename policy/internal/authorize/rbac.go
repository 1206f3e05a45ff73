// Package authorize answers what policies ask of the authorizer: whether somebody may do something.
package authorize

import (
	"cmp"
	"context"
	_ "embed" // of the roles that every cluster has
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/yaml"
)

// bootstrap are the roles that kube-apiserver 1.36 gives to every cluster when it starts, without those of
// its own controllers.
//
//go:embed bootstrap.yaml
var bootstrap []byte

// RBAC decides by RBAC objects, as kube-apiserver does in that mode: the rules and the reasons are those of
// k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac, which cannot be imported. It is immutable.
type RBAC struct {
	clusterRoles map[string]*rbacv1.ClusterRole
	roles        map[[2]string]*rbacv1.Role // by namespace and name
	// In the order of their names, so that the same question has the same reason.
	clusterRoleBindings []*rbacv1.ClusterRoleBinding
	roleBindings        map[string][]*rbacv1.RoleBinding // by namespace
}

// Objects are RBAC objects.
type Objects struct {
	ClusterRoles        []rbacv1.ClusterRole        `json:"clusterRoles,omitempty"`
	ClusterRoleBindings []rbacv1.ClusterRoleBinding `json:"clusterRoleBindings,omitempty"`
	Roles               []rbacv1.Role               `json:"roles,omitempty"`
	RoleBindings        []rbacv1.RoleBinding        `json:"roleBindings,omitempty"`
}

// NewRBAC returns what decides by objects, and by the roles that every cluster has, as far as there are none of
// the same name among objects.
func NewRBAC(objects Objects) (*RBAC, error) {
	var first Objects
	if err := yaml.UnmarshalStrict(bootstrap, &first); err != nil {
		return nil, fmt.Errorf("reading the roles that every cluster has: %w", err)
	}
	r := &RBAC{
		clusterRoles: map[string]*rbacv1.ClusterRole{}, roles: map[[2]string]*rbacv1.Role{}, roleBindings: map[string][]*rbacv1.RoleBinding{},
	}
	bindings := map[string]*rbacv1.ClusterRoleBinding{}
	inNamespaces := map[[2]string]*rbacv1.RoleBinding{}
	for _, from := range []Objects{first, objects} {
		for i := range from.ClusterRoles {
			r.clusterRoles[from.ClusterRoles[i].Name] = &from.ClusterRoles[i]
		}
		for i := range from.ClusterRoleBindings {
			bindings[from.ClusterRoleBindings[i].Name] = &from.ClusterRoleBindings[i]
		}
		for i := range from.Roles {
			r.roles[[2]string{from.Roles[i].Namespace, from.Roles[i].Name}] = &from.Roles[i]
		}
		for i := range from.RoleBindings {
			inNamespaces[[2]string{from.RoleBindings[i].Namespace, from.RoleBindings[i].Name}] = &from.RoleBindings[i]
		}
	}
	for _, b := range bindings {
		r.clusterRoleBindings = append(r.clusterRoleBindings, b)
	}
	for _, b := range inNamespaces {
		r.roleBindings[b.Namespace] = append(r.roleBindings[b.Namespace], b)
	}
	slices.SortFunc(r.clusterRoleBindings, func(a, b *rbacv1.ClusterRoleBinding) int { return cmp.Compare(a.Name, b.Name) })
	for _, list := range r.roleBindings {
		slices.SortFunc(list, func(a, b *rbacv1.RoleBinding) int { return cmp.Compare(a.Name, b.Name) })
	}
	return r, r.aggregate()
}

// aggregate does what kube-controller-manager does: the rules of a role with an aggregationRule are those of the
// roles that it selects. An aggregated role can be selected, too: it is repeated until nothing changes.
func (r *RBAC) aggregate() error {
	names := make([]string, 0, len(r.clusterRoles))
	for name := range r.clusterRoles {
		names = append(names, name)
	}
	slices.Sort(names)
	for changed, rounds := true, 0; changed && rounds <= len(names); rounds++ {
		changed = false
		for _, name := range names {
			role := r.clusterRoles[name]
			if role.AggregationRule == nil {
				continue
			}
			rules, err := r.selected(role, names)
			if err != nil {
				return err
			}
			changed = changed || !equality.Semantic.DeepEqual(rules, role.Rules)
			aggregated := role.DeepCopy()
			aggregated.Rules = rules
			r.clusterRoles[name] = aggregated
		}
	}
	return nil
}

func (r *RBAC) selected(role *rbacv1.ClusterRole, names []string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("aggregating ClusterRole %s: %w", role.Name, err)
		}
		for _, name := range names {
			other := r.clusterRoles[name]
			if name == role.Name || !selector.Matches(labels.Set(other.Labels)) {
				continue
			}
			for _, rule := range other.Rules {
				if !slices.ContainsFunc(rules, func(have rbacv1.PolicyRule) bool { return have.String() == rule.String() }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}

// Authorize implements authorizer.UnconditionalAuthorizer. It never returns an error: a role that is missing is
// part of the reason.
func (r *RBAC) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if slices.Contains(a.GetUser().GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	var errs []error
	for _, b := range r.clusterRoleBindings {
		subject := subjectOf(a.GetUser(), b.Subjects, "")
		if subject == nil {
			continue
		}
		allowed, err := r.allows(a, b.RoleRef, "")
		if allowed {
			return authorizer.DecisionAllow, fmt.Sprintf("RBAC: allowed by ClusterRoleBinding %q of %s %q to %s",
				b.Name, b.RoleRef.Kind, b.RoleRef.Name, describe(subject, "")), nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	namespace := a.GetNamespace()
	for _, b := range r.roleBindings[namespace] {
		subject := subjectOf(a.GetUser(), b.Subjects, namespace)
		if subject == nil || namespace == "" {
			continue
		}
		allowed, err := r.allows(a, b.RoleRef, namespace)
		if allowed {
			return authorizer.DecisionAllow, fmt.Sprintf("RBAC: allowed by RoleBinding %q of %s %q to %s",
				b.Name+"/"+b.Namespace, b.RoleRef.Kind, b.RoleRef.Name, describe(subject, b.Namespace)), nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(errs)), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (r *RBAC) allows(a authorizer.Attributes, ref rbacv1.RoleRef, namespace string) (bool, error) {
	var rules []rbacv1.PolicyRule
	switch ref.Kind {
	case "Role":
		role := r.roles[[2]string{namespace, ref.Name}]
		if role == nil {
			return false, apierrors.NewNotFound(rbacv1.Resource("role"), ref.Name)
		}
		rules = role.Rules
	case "ClusterRole":
		role := r.clusterRoles[ref.Name]
		if role == nil {
			return false, apierrors.NewNotFound(rbacv1.Resource("clusterrole"), ref.Name)
		}
		rules = role.Rules
	default:
		return false, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
	}
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool { return ruleAllows(a, &rule) }), nil
}

// subjectOf returns the first of subjects that is the user.
func subjectOf(u user.Info, subjects []rbacv1.Subject, namespace string) *rbacv1.Subject {
	for i := range subjects {
		s := &subjects[i]
		is := false
		switch s.Kind {
		case rbacv1.UserKind:
			is = u.GetName() == s.Name
		case rbacv1.GroupKind:
			is = slices.Contains(u.GetGroups(), s.Name)
		case rbacv1.ServiceAccountKind:
			// In a RoleBinding it may be without a namespace: its own.
			in := cmp.Or(s.Namespace, namespace)
			is = in != "" && serviceaccount.MatchesUsername(in, s.Name, u.GetName())
		}
		if is {
			return s
		}
	}
	return nil
}

func describe(s *rbacv1.Subject, namespace string) string {
	name := s.Name
	if s.Kind == rbacv1.ServiceAccountKind {
		name += "/" + cmp.Or(s.Namespace, namespace)
	}
	return fmt.Sprintf("%s %q", s.Kind, name)
}

func ruleAllows(a authorizer.Attributes, rule *rbacv1.PolicyRule) bool {
	if !has(rule.Verbs, rbacv1.VerbAll, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
			return url == rbacv1.NonResourceAll || url == a.GetPath() ||
				strings.HasSuffix(url, "*") && strings.HasPrefix(a.GetPath(), strings.TrimRight(url, "*"))
		})
	}
	resource, subresource := a.GetResource(), a.GetSubresource()
	if subresource != "" {
		resource += "/" + subresource
	}
	return has(rule.APIGroups, rbacv1.APIGroupAll, a.GetAPIGroup()) &&
		(has(rule.Resources, rbacv1.ResourceAll, resource) || subresource != "" && slices.Contains(rule.Resources, "*/"+subresource)) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func has(list []string, all, one string) bool {
	return slices.Contains(list, all) || slices.Contains(list, one)
}
