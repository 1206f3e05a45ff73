package load

import (
	"fmt"
	"regexp"
	"slices"

	v1 "k8s.io/api/admissionregistration/v1"

	"github.com/gatefold/gatefold/policy/internal/document"
)

// noteNothing notes that the files have nothing of either kind. A folder may just have been emptied, or have everything in
// folders of its own.
func (s *Set) noteNothing(files int) {
	isOurs := func(d *document.Document) bool { return slices.Contains(kinds(), d.Object.GetKind()) }
	if len(s.Problems) > 0 || slices.ContainsFunc(s.docs, isOurs) {
		return
	}
	what := "there is none in these files"
	if files == 0 {
		what = "there are no files; of a folder of policy.paths the *.yaml, *.yml and *.json directly in it count"
	}
	s.Notes = append(s.Notes, fmt.Sprintf("no %s is in force: %s", s.policyKind, what))
}

// noteOthers notes that all policies in the files are for the other service.
func (s *Set) noteOthers() {
	other, where := validatingPolicy, "ValidatorConfig"
	if s.policyKind == validatingPolicy {
		other, where = mutatingPolicy, "MutatorConfig"
	}
	others := s.OfKind(group, other)
	if len(s.policies) > 0 || len(others) == 0 {
		return
	}
	s.Notes = append(s.Notes, fmt.Sprintf("%s:%d: %s '%s' does nothing here, and there is no %s in these files; name it in policy.paths of a %s",
		others[0].File, others[0].Line, other, others[0].Object.GetName(), s.policyKind, where))
}

var (
	version    = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
	upperCased = regexp.MustCompile(`[A-Z]`)
)

// noteNames notes what rules of the policy or binding in d name and what does not exist: kinds in place of resources,
// and versions in place of groups. kube-apiserver takes them all the same; they match nothing, and exclude nothing.
func (s *Set) noteNames(d *document.Document, path string, m *v1.MatchResources) {
	if m == nil {
		return
	}
	s.noteNamesOf(d, path+".resourceRules", m.ResourceRules)
	s.noteNamesOf(d, path+".excludeResourceRules", m.ExcludeResourceRules)
}

func (s *Set) noteNamesOf(d *document.Document, path string, rules []v1.NamedRuleWithOperations) {
	note := func(field string, i int, format string, args ...any) {
		p := d.Problem(fmt.Sprintf("%s[%d].%s", path, i, field), format, args...)
		s.Notes = append(s.Notes, p.Error())
	}
	for i, rule := range rules {
		for _, name := range rule.Resources {
			if upperCased.MatchString(name) {
				note("resources", i, "%q is no resource; they are written in lower case and the plural, as pods", name)
			}
		}
		for _, group := range rule.APIGroups {
			if version.MatchString(group) {
				note("apiGroups", i, `%q is no group but a version; the group of pods is ""`, group)
			}
		}
	}
}
