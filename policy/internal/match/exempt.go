package match

import "k8s.io/apimachinery/pkg/runtime/schema"

const policies = "admissionregistration.k8s.io"

// Exempt tells whether kube-apiserver never shows requests for the resource to a policy.
func Exempt(r schema.GroupResource) bool { return exempt[r] }

// exempt are the resources that kube-apiserver never shows to a policy: the reviews, because that might
// lock everybody out (k8s.io/kubernetes pkg/kubeapiserver/admission/exclusion), and the policies
// themselves (k8s.io/apiserver pkg/admission/plugin/policy/generic/plugin.go).
var exempt = map[schema.GroupResource]bool{
	{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"}:       true,
	{Group: "authentication.k8s.io", Resource: "tokenreviews"}:             true,
	{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}: true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"}:  true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"}:   true,
	{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}:      true,
	{Group: policies, Resource: "validatingadmissionpolicies"}:             true,
	{Group: policies, Resource: "validatingadmissionpolicybindings"}:       true,
	{Group: policies, Resource: "mutatingadmissionpolicies"}:               true,
	{Group: policies, Resource: "mutatingadmissionpolicybindings"}:         true,
}
