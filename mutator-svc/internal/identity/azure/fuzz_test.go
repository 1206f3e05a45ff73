package azure_test

import (
	"os"
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func FuzzPatchApplies(f *testing.F) {
	pod, err := os.ReadFile("../pod/testdata/pod.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pod, "3600", false, true)
	const asks = `"metadata":{"name":"pod","labels":{"azure.workload.identity/use":"true"},"annotations":{"azure.workload.identity/inject-proxy-sidecar":"","azure.workload.identity/use-x":"true","azure.workload.identity/skip-containers":"b"}}`
	for _, spec := range []string{
		`{"containers":[null,{"env":null}],"initContainers":[{"env":[],"volumeMounts":[{}]}],"volumes":[null]}`,
		`{"containers":[{"name":"azwi-proxy"},{"name":"b"}],"initContainers":[{"name":"azwi-proxy-init"},null],"volumes":[{"projected":{"sources":[null,{"serviceAccountToken":{"path":"azure-identity-token"}}]}}]}`,
		`{"containers":[{"env":[],"env":null,"volumeMounts":[{"name":"azure-identity-token"},{"name":"azure-workload-identity-reserved-425c89ed5bb78a7623fae60fd8a6f6"},{"name":"azure-workload-identity-reserved-425c89ed5bb78a7623fae60fd8a6f6"}]}],"containers":[]}`,
		`null,"spec":{"volumes":[{"name":"azure-workload-identity-reserved-425c89ed5bb78a7623fae60fd8a6f6"},{"name":"azure-identity-token","projected":{"sources":[],"sources":null}}]}`,
	} {
		for _, old := range []bool{false, true} {
			f.Add([]byte(`{`+asks+`,"spec":`+spec+`}`), "x", old, !old)
		}
	}
	f.Fuzz(func(t *testing.T, object []byte, expiration string, old, native bool) {
		cfg := &azure.Config{TenantID: "t", NativeSidecars: azure.NativeSidecarsFalse}
		cfg.InvalidValue = profile.Warn // a denial ends the test early
		if native {
			cfg.NativeSidecars = azure.NativeSidecarsTrue
		}
		if old {
			cfg.Layout = azure.Layout15
		} else {
			cfg.TokenEndpoint = &azure.TokenEndpoint{AnnotationSuffix: "x", Audience: "a", URL: "https://x", CAConfigMap: "ca"}
		}
		sdktest.Settles(t, identitytest.New(t, identity.Config{Azure: cfg}, identity.Sources{ServiceAccounts: identitytest.Everyone{
			"azure.workload.identity/client-id":                        "c",
			"azure.workload.identity/service-account-token-expiration": expiration,
		}}), identitytest.Request(object))
	})
}
