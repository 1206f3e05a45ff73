package google_test

import (
	"os"
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func FuzzPatchApplies(f *testing.F) {
	pod, err := os.ReadFile("../pod/testdata/pod.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pod, "gcloud", "app@project.iam.gserviceaccount.com")
	f.Add(pod, "direct", "a&b<c>@project.iam.gserviceaccount.com")
	for _, seed := range []string{
		`{"spec":{"serviceAccountName":"a","containers":[null,{"env":null}],"initContainers":[{"env":[],"volumeMounts":[{}]}],"volumes":[null]}}`,
		`{"spec":{"serviceAccountName":"a","initContainers":[{"name":"x"},{"name":"gcloud-setup"}],"volumes":[{"name":"gcp-iam-token"}]}}`,
		`{"spec":{"serviceAccountName":"a","containers":[{"env":[{"name":"CLOUDSDK_CONFIG"}],"volumeMounts":[{"name":"gcloud-config"}]}]},"metadata":null}`,
		`{"metadata":{"annotations":{"cloud.google.com/token-expiration":"x","cloud.google.com/skip-containers":" a,"}},"spec":{"serviceAccountName":"a"}}`,
	} {
		f.Add([]byte(seed), "x", "")
	}
	f.Fuzz(func(t *testing.T, object []byte, mode, email string) {
		cfg := identity.Config{Google: &google.Config{Policies: profile.Policies{InvalidValue: profile.Warn}}}
		sdktest.Settles(t, identitytest.New(t, cfg, identity.Sources{ServiceAccounts: identitytest.Everyone{
			"cloud.google.com/workload-identity-provider": "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster",
			"cloud.google.com/service-account-email":      email,
			"cloud.google.com/injection-mode":             mode,
		}}), identitytest.Request(object))
	})
}
