package identity_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
)

func TestWatched(t *testing.T) {
	cfg := identity.Config{
		AWS:    &aws.Config{RoleConfigMap: &aws.RoleConfigMap{Namespace: "platform"}},
		Google: &google.Config{AnnotationPrefix: "wif.example.com"},
	}
	cfg.SetDefaults()
	watched := cfg.Watched()
	for key, want := range map[string]bool{
		"eks.amazonaws.com/role-arn":                       true,
		"azure.workload.identity/client-id":                true, // may be turned on later
		"cloud.google.com/service-account-email":           true,
		"wif.example.com/service-account-email":            true,
		"identity.gatefold.dev/vault.audience":             true,
		"kubectl.kubernetes.io/last-applied-configuration": false,
		"eks.amazonaws.com.evil/role-arn":                  false,
		"eks.amazonaws.com":                                false,
	} {
		if got := watched.Annotation(key); got != want {
			t.Errorf("%s: kept %t, want %t", key, got, want)
		}
	}
	if diff := cmp.Diff([]types.NamespacedName{{Namespace: "platform", Name: "pod-identity-webhook"}}, watched.ConfigMaps()); diff != "" {
		t.Errorf("ConfigMaps (-want +got):\n%s", diff)
	}
}

// What a configuration that is read later wants beyond what is watched stays as it was.
func TestConfine(t *testing.T) {
	started := identity.Config{AWS: &aws.Config{AnnotationPrefix: "iam.example.com"}}
	for name, tc := range map[string]struct {
		wants, gets identity.Config
		fields      []string
	}{
		"nothing else": {wants: started, gets: started},
		"a profile more, and one less": {
			wants: identity.Config{Azure: &azure.Config{TenantID: "t"}, Google: &google.Config{}},
			gets:  identity.Config{Azure: &azure.Config{TenantID: "t"}, Google: &google.Config{}},
		},
		"the prefix by default": {
			wants: identity.Config{AWS: &aws.Config{}},
			gets:  identity.Config{AWS: &aws.Config{}},
		},
		"another prefix": {
			wants:  identity.Config{AWS: &aws.Config{AnnotationPrefix: "other.example.com", DefaultRegion: "x"}},
			gets:   identity.Config{AWS: &aws.Config{AnnotationPrefix: "iam.example.com", DefaultRegion: "x"}},
			fields: []string{"identity.aws.annotationPrefix"},
		},
		"a profile more with a prefix of its own, and roles": {
			wants: identity.Config{
				AWS:    &aws.Config{AnnotationPrefix: "iam.example.com", RoleConfigMap: &aws.RoleConfigMap{}},
				Google: &google.Config{AnnotationPrefix: "wif.example.com"},
			},
			gets:   started,
			fields: []string{"identity.google.annotationPrefix", "identity.aws.roleConfigMap"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := started
			for _, cfg := range []*identity.Config{&old, &tc.wants, &tc.gets} {
				cfg.SetDefaults()
			}
			fields := tc.wants.Confine(&old, old.Watched())
			if diff := cmp.Diff(tc.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.gets, tc.wants); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}
