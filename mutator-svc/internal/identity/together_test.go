package identity_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/aws"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/google"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/tokens"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// everything are the annotations of a ServiceAccount with an identity everywhere.
var everything = identitytest.Everyone{
	"eks.amazonaws.com/role-arn":                   "arn:aws:iam::111122223333:role/reader",
	"azure.workload.identity/client-id":            "11111111-2222-3333-4444-555555555555",
	"cloud.google.com/workload-identity-provider":  "projects/1/locations/global/workloadIdentityPools/p/providers/k",
	"cloud.google.com/service-account-email":       "reader@shop.iam.gserviceaccount.com",
	"identity.gatefold.dev/vault.audience":         "vault",
	"identity.gatefold.dev/vault.env":              "VAULT_TOKEN_FILE",
	"identity.gatefold.dev/orders.audience":        "https://orders.example.com",
	"identity.gatefold.dev/orders.path":            "orders.jwt",
	"kubectl.kubernetes.io/last-applied-something": "x",
}

func together(t testing.TB) *identity.Mutator {
	return identitytest.New(t, identity.Config{
		AWS:    &aws.Config{DefaultRegion: "eu-central-1"},
		Azure:  &azure.Config{TenantID: "aaaaaaaa-0000-0000-0000-000000000001"},
		Google: &google.Config{},
		Tokens: &tokens.Config{},
	}, identity.Sources{ServiceAccounts: everything})
}

// A pod may have an identity everywhere: each profile gives its own to the containers that the others have
// added, and none has anything to add in a second pass.
func TestAllProfilesTogether(t *testing.T) {
	pod := []byte(`{"metadata":{"name":"p","labels":{"azure.workload.identity/use":"true"},
		"annotations":{"azure.workload.identity/inject-proxy-sidecar":"true"}},
		"spec":{"serviceAccountName":"reader","new":{"a":[1]},
			"initContainers":[{"name":"init","new":2}],
			"containers":[{"name":"app","env":[{"name":"A","new":{"b":null}}],"volumeMounts":[{"name":"v","new":1.50}]}],
			"volumes":[{"name":"v","new":{"c":9007199254740993}}]}}`)
	got := identitytest.Inject(t, together(t), pod)
	sdktest.NothingLost(t, pod, got.Object)
	if len(got.Warnings) > 0 || got.Denial != nil {
		t.Errorf("warnings %q, denial %v", got.Warnings, got.Denial)
	}
	object := identitytest.Typed(t, got.Object)
	var order []string
	for _, c := range append(object.Spec.InitContainers, object.Spec.Containers...) {
		order = append(order, c.Name)
		has := map[string]bool{}
		for _, v := range c.Env {
			has[v.Name] = true
		}
		for _, name := range []string{"AWS_ROLE_ARN", "AZURE_CLIENT_ID", "VAULT_TOKEN_FILE", "CLOUDSDK_CONFIG"} {
			if !has[name] {
				t.Errorf("%s has no %s", c.Name, name)
			}
		}
	}
	if diff := cmp.Diff([]string{"gcloud-setup", "azwi-proxy", "init", "azwi-proxy-init", "app"}, order); diff != "" {
		t.Errorf("order of the containers (-want +got):\n%s", diff)
	}
	var volumes []string
	for _, v := range object.Spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	want := []string{"aws-iam-token", "v", "azure-workload-identity-reserved-148de9c5a7a44d19e56cd9ae1a554b", "gcp-iam-token", "gcloud-config", "gatefold-tokens"}
	if diff := cmp.Diff(want, volumes); diff != "" {
		t.Errorf("order of the volumes (-want +got):\n%s", diff)
	}
}

func FuzzAllProfilesTogether(f *testing.F) {
	pod, err := os.ReadFile("pod/testdata/pod.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pod)
	f.Add([]byte(`{"metadata":{"labels":{"azure.workload.identity/use":"true"},"annotations":{"azure.workload.identity/inject-proxy-sidecar":""}},
		"spec":{"serviceAccountName":"a","initContainers":[{"name":"gcloud-setup"},null,{"name":"azwi-proxy"}],"containers":[{"name":"azwi-proxy-init"}]}}`))
	f.Fuzz(func(t *testing.T, object []byte) { sdktest.Settles(t, together(t), identitytest.Request(object)) })
}
