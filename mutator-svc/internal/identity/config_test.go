package identity_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
)

func TestProfilesDoNotClash(t *testing.T) {
	cfg := identity.Config{
		AWS:    &aws.Config{MountPath: "/tokens/"},
		Azure:  &azure.Config{TenantID: "t"},
		Google: &google.Config{},
		Tokens: &tokens.Config{},
	}
	cfg.SetDefaults()
	if errs := cfg.Validate(field.NewPath("identity")); len(errs) > 0 {
		t.Errorf("by default: %v", errs.ToAggregate())
	}
	cfg.Tokens = &tokens.Config{AnnotationPrefix: "eks.amazonaws.com", MountPath: "/tokens", VolumeName: "aws-iam-token"}
	cfg.SetDefaults()
	var got []string
	for _, err := range cfg.Validate(field.NewPath("identity")) {
		got = append(got, err.Error())
	}
	want := []string{
		`identity.tokens.annotationPrefix: Invalid value: "eks.amazonaws.com": write another one; this is aws's`,
		`identity.tokens.mountPath: Invalid value: "/tokens": write another one; this is aws's`,
		`identity.tokens.volumeName: Invalid value: "aws-iam-token": write another one; this is aws's`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
