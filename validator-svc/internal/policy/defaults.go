package policy

import (
	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The defaults below are those of k8s.io/kubernetes pkg/apis/admissionregistration/v1/defaults.go, which
// kube-apiserver applies when an object is stored and which no module exports.

func setPolicyDefaults(p *v1.ValidatingAdmissionPolicy) {
	if p.Spec.FailurePolicy == nil {
		p.Spec.FailurePolicy = new(v1.Fail)
	}
	setMatchDefaults(p.Spec.MatchConstraints)
}

func setBindingDefaults(b *v1.ValidatingAdmissionPolicyBinding) {
	setMatchDefaults(b.Spec.MatchResources)
}

func setMatchDefaults(m *v1.MatchResources) {
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
