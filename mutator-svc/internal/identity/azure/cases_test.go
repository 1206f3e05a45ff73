package azure_test

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/identitytest"
)

func TestCases(t *testing.T) { identitytest.Cases(t, "azure") }

// The reference webhook's answers are the specification: the same pods must come out.
func TestRecordedAnswersOfTheReference(t *testing.T) {
	identitytest.Replay(t, 102, configure, "azure-workload-identity-reserved-*")
}

// configure reads the reference's command line and environment.
func configure(t *testing.T, r *identitytest.Recording) identity.Config {
	cfg := &azure.Config{
		TenantID:    r.Env["AZURE_TENANT_ID"],
		Environment: r.Env["AZURE_ENVIRONMENT"],
		Proxy:       azure.Proxy{Image: r.Env["PROXY_IMAGE"], InitImage: r.Env["PROXY_INIT_IMAGE"]},
	}
	cfg.Audience, _ = r.Flag("--audience")
	cfg.Proxy.LogLevel, _ = r.Flag("--log-level") // the proxy's is the webhook's own
	suffix, ok := r.Flag("--custom-token-endpoint-annotation-suffix")
	if !ok {
		return identity.Config{Azure: cfg}
	}
	cfg.TokenEndpoint = &azure.TokenEndpoint{
		AnnotationSuffix: suffix,
		URL:              r.Env["AZURE_KUBERNETES_TOKEN_PROXY"],
		SNIName:          r.Env["AZURE_KUBERNETES_SNI_NAME"],
		CAData:           r.Env["AZURE_KUBERNETES_CA_DATA"],
		CAConfigMap:      r.Env["AZURE_KUBERNETES_CA_CONFIGMAP_NAME"],
	}
	cfg.TokenEndpoint.Audience, _ = r.Flag("--custom-token-endpoint-audience")
	if signer := r.Env["AZURE_KUBERNETES_CA_CTB_SIGNER_NAME"]; signer != "" {
		cfg.TokenEndpoint.CATrustBundle = &azure.TrustBundle{SignerName: signer, LabelSelector: &metav1.LabelSelector{}}
		if err := json.Unmarshal([]byte(r.Env["AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR"]), cfg.TokenEndpoint.CATrustBundle.LabelSelector); err != nil {
			t.Fatal(err)
		}
	}
	return identity.Config{Azure: cfg}
}
