package spec

import (
	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The defaults below are those of k8s.io/kubernetes pkg/apis/admissionregistration/v1/defaults.go, which
// kube-apiserver applies when an object is stored and which no module exports.

// SetFailurePolicyDefault fills an absent failure policy.
func SetFailurePolicyDefault(p **v1.FailurePolicyType) {
	if *p == nil {
		*p = new(v1.Fail)
	}
}

// SetMatchDefaults fills what was left out of m, which may be nil.
func SetMatchDefaults(m *v1.MatchResources) {
	if m == nil {
		return
	}
	if m.MatchPolicy == nil {
		m.MatchPolicy = new(v1.Equivalent)
	}
	if m.NamespaceSelector == nil {
		m.NamespaceSelector = &metav1.LabelSelector{}
	}
	if m.ObjectSelector == nil {
		m.ObjectSelector = &metav1.LabelSelector{}
	}
	for _, rules := range [][]v1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			if rules[i].Scope == nil {
				rules[i].Scope = new(v1.AllScopes)
			}
		}
	}
}
