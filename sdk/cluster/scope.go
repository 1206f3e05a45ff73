package cluster

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// BuiltInScope tells whether a kind that kube-apiserver brings along is namespaced. ok is false for any other
// kind.
func BuiltInScope(kind schema.GroupKind) (scope meta.RESTScope, ok bool) {
	if slices.Contains(clusterScoped(), kind.String()) {
		return meta.RESTScopeRoot, true
	}
	if len(scheme.Scheme.VersionsForGroupKind(kind)) > 0 {
		return meta.RESTScopeNamespace, true
	}
	return nil, false
}

// scopeOf says whether a kind is namespaced, of which own are the objects.
func (f fixed) scopeOf(kind schema.GroupKind, own []*unstructured.Unstructured) meta.RESTScope {
	if scope, ok := BuiltInScope(kind); ok {
		return scope
	}
	for _, object := range f.objects {
		if crd := kindOf(object); crd.Kind != "CustomResourceDefinition" || crd.Group != "apiextensions.k8s.io" {
			continue
		}
		crd, err := toUnstructured(object, kindOf(object))
		if err != nil {
			continue // it says nothing
		}
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		name, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		if group != kind.Group || name != kind.Kind {
			continue
		}
		if scope, _, _ := unstructured.NestedString(crd.Object, "spec", "scope"); scope == "Cluster" {
			return meta.RESTScopeRoot
		}
		return meta.RESTScopeNamespace
	}
	named := func(o *unstructured.Unstructured) bool { return o.GetNamespace() != "" }
	if len(own) > 0 && !slices.ContainsFunc(own, named) {
		return meta.RESTScopeRoot
	}
	return meta.RESTScopeNamespace
}

// clusterScoped are the built-in kinds without a namespace, sorted. TestClusterScopedKinds derives them.
func clusterScoped() []string {
	return []string{
		"APIService.apiregistration.k8s.io", "CSIDriver.storage.k8s.io", "CSINode.storage.k8s.io",
		"CertificateSigningRequest.certificates.k8s.io", "ClusterRole.rbac.authorization.k8s.io",
		"ClusterRoleBinding.rbac.authorization.k8s.io", "ClusterTrustBundle.certificates.k8s.io", "ComponentStatus",
		"CustomResourceDefinition.apiextensions.k8s.io", "DeviceClass.resource.k8s.io",
		"DeviceTaintRule.resource.k8s.io", "FlowSchema.flowcontrol.apiserver.k8s.io", "IPAddress.networking.k8s.io",
		"IngressClass.networking.k8s.io", "MutatingAdmissionPolicy.admissionregistration.k8s.io",
		"MutatingAdmissionPolicyBinding.admissionregistration.k8s.io",
		"MutatingWebhookConfiguration.admissionregistration.k8s.io", "Namespace", "Node", "PersistentVolume",
		"PriorityClass.scheduling.k8s.io", "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io",
		"ResourcePoolStatusRequest.resource.k8s.io", "ResourceSlice.resource.k8s.io", "RuntimeClass.node.k8s.io",
		"ServiceCIDR.networking.k8s.io", "StorageClass.storage.k8s.io", "StorageVersion.internal.apiserver.k8s.io",
		"StorageVersionMigration.storagemigration.k8s.io", "ValidatingAdmissionPolicy.admissionregistration.k8s.io",
		"ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io",
		"ValidatingWebhookConfiguration.admissionregistration.k8s.io", "VolumeAttachment.storage.k8s.io",
		"VolumeAttributesClass.storage.k8s.io",
	}
}
