package google_test

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// The reference webhook's answers are the specification: the same pods must come out.
func TestRecordedAnswersOfTheReference(t *testing.T) {
	replaced := []string{
		"gcp-iam-token", "gcloud-config", "external-credential-config", "gcloud-setup", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG",
	}
	for _, prefix := range []string{"cloud.google.com/", "wif.example.com/"} {
		for _, name := range []string{"workload-identity-provider", "service-account-email", "audience", "token-expiration", "external-credentials-json"} {
			replaced = append(replaced, prefix+name)
		}
	}
	identitytest.Replay(t, "google", 93, replaced...)
}

func TestDefaults(t *testing.T) {
	cfg := google.Config{TokenExpirationSeconds: new(int64(600)), Audience: new("")}
	cfg.SetDefaults()
	if errs := cfg.Validate(field.NewPath("google")); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	if *cfg.TokenExpirationSeconds != 3600 || *cfg.Audience != "" {
		t.Errorf("token for %d seconds and audience %q, want 3600 and none", *cfg.TokenExpirationSeconds, *cfg.Audience)
	}
	if cfg.DefaultMode != google.Gcloud || cfg.TokenFileMode != "0440" {
		t.Errorf("mode %s and file mode %s, want gcloud and 0440", cfg.DefaultMode, cfg.TokenFileMode)
	}
	if cfg.MissingServiceAccount != profile.Warn || cfg.InvalidValue != profile.Deny {
		t.Errorf("policies are %v, want Warn and Deny", cfg.Policies)
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change string // of the configuration
		field  string
	}{
		"a prefix with its slash":         {`{"annotationPrefix":"cloud.google.com/"}`, "google.annotationPrefix"},
		"a life that is too long":         {`{"tokenExpirationSeconds":4294967297}`, "google.tokenExpirationSeconds"},
		"a mode that there is not":        {`{"defaultMode":"Direct"}`, "google.defaultMode"},
		"an image with a blank":           {`{"gcloudImage":" x"}`, "google.gcloudImage"},
		"a file mode in decimal":          {`{"tokenFileMode":"288"}`, "google.tokenFileMode"},
		"a file mode with more than bits": {`{"tokenFileMode":"1440"}`, "google.tokenFileMode"},
		"a file mode of letters":          {`{"tokenFileMode":"r--r--"}`, "google.tokenFileMode"},
		"octal digits without quotes":     {`{"tokenFileMode":440}`, "google.tokenFileMode"},
		"a mode with a fraction":          {`{"tokenFileMode":4.5}`, "google.tokenFileMode"},
		"a request above the limit":       {`{"setupResources":{"requests":{"cpu":"2"},"limits":{"cpu":"1500m"}}}`, "google.setupResources.requests.cpu"},
		"a negative limit":                {`{"setupResources":{"limits":{"memory":"-1"}}}`, "google.setupResources.limits.memory"},
		"claims":                          {`{"setupResources":{"claims":[{"name":"gpu"}]}}`, "google.setupResources.claims"},
		"a policy that there is not":      {`{"invalidValue":"Ignore"}`, "google.invalidValue"},
	} {
		t.Run(name, func(t *testing.T) {
			var cfg google.Config
			if err := json.Unmarshal([]byte(tc.change), &cfg); err != nil {
				t.Fatal(err)
			}
			cfg.SetDefaults()
			errs := cfg.Validate(field.NewPath("google"))
			if len(errs) != 1 || errs[0].Field != tc.field {
				t.Errorf("Validate = %v, want one error about %s", errs, tc.field)
			}
		})
	}
}

// YAML makes a number of 0444 without quotes, and 292 is what Kubernetes' own fields would have.
func TestFileModesWithoutQuotes(t *testing.T) {
	for number, want := range map[string]google.FileMode{"292": "0444", "288": "0440", "384": "0600"} {
		var got google.FileMode
		if err := json.Unmarshal([]byte(number), &got); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", number, got, err, want)
		}
	}
}

// TestNobodyPays has a pod that is no pod: it is not looked at for a ServiceAccount without an identity.
func TestNobodyPays(t *testing.T) {
	everyone := identitytest.Everyone{"eks.amazonaws.com/role-arn": "x", "cloud.google.com/audience": "y"}
	mutator := identitytest.New(t, identity.Config{Google: &google.Config{}}, identity.Sources{ServiceAccounts: everyone})
	mutation, err := mutator.Mutate(t.Context(), identitytest.Request([]byte(`{"spec":{"serviceAccountName":"a","containers":7}}`)))
	if err != nil || mutation != nil {
		t.Errorf("Mutate = %v, %v, want nothing", mutation, err)
	}
	everyone["cloud.google.com/service-account-email"] = "e"
	everyone["cloud.google.com/workload-identity-provider"] = "projects/1/locations/l/workloadIdentityPools/p/providers/q"
	_, err = mutator.Mutate(t.Context(), identitytest.Request([]byte(`{"spec":{"serviceAccountName":"a","containers":7}}`)))
	if err == nil || !strings.Contains(err.Error(), "containers") {
		t.Errorf("Mutate = %v, want an error about the containers", err)
	}
}
