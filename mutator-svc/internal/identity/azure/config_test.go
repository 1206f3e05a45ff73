package azure_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/azure"
)

// validate reads a configuration, which is complete but for the fields of text.
func validate(t *testing.T, text string) string {
	t.Helper()
	cfg := &azure.Config{}
	if err := yaml.UnmarshalStrict([]byte(text), cfg); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	cfg.SetDefaults()
	if errs := cfg.Validate(field.NewPath("azure")); len(errs) > 0 {
		return errs.ToAggregate().Error()
	}
	return ""
}

func TestConfigSaysWhatIsWrongWithIt(t *testing.T) {
	const endpoint = "annotationSuffix: x, audience: a, url: 'https://x'"
	for text, want := range map[string]string{
		"{}":                                     `azure.tenantID: Required value: write the ID of the Microsoft Entra tenant`,
		"{tenantID: t, environment: AzureMoon}":  `azure.environment: Unsupported value: "AzureMoon": supported values: "AzurePublicCloud", "AzureCloud", "AzureUSGovernment", "AzureUSGovernmentCloud", "AzureChinaCloud", "AzureGermanCloud"`,
		"{tenantID: t, layout: 1.4}":             `azure.layout: Unsupported value: "1.4": supported values: "1.6", "1.5"`,
		"{tenantID: t, nativeSidecars: perhaps}": `azure.nativeSidecars: Unsupported value: "perhaps": supported values: "true", "false", "auto"`,
		"{tenantID: t, nativeSidecars: {}}":      `azure.nativeSidecars: Unsupported value: "{}": supported values: "true", "false", "auto"`,
		"{tenantID: t, proxy: {logLevel: loud}}": `azure.proxy.logLevel: Unsupported value: "loud": supported values: "info", "debug", "trace", "all"`,
		"{tenantID: t, invalidValue: Ignore}":    `azure.invalidValue: Unsupported value: "Ignore": supported values: "Allow", "Warn", "Deny"`,

		"{tenantID: t, layout: 1.5, tokenEndpoint: {" + endpoint + "}}":                                                                                   `azure.tokenEndpoint: Forbidden: layout 1.5 has no token endpoint`,
		"{tenantID: t, tokenEndpoint: {audience: a, url: 'https://x'}}":                                                                                   `azure.tokenEndpoint.annotationSuffix: Required value`,
		"{tenantID: t, tokenEndpoint: {annotationSuffix: 'a b', audience: a, url: 'https://x'}}":                                                          `azure.tokenEndpoint.annotationSuffix: Invalid value: "a b"`,
		"{tenantID: t, tokenEndpoint: {annotationSuffix: x, url: 'https://x'}}":                                                                           `azure.tokenEndpoint.audience: Required value`,
		"{tenantID: t, tokenEndpoint: {annotationSuffix: x, url: 'https://x', audience: 'API://azureadtokenexchange'}}":                                   `azure.tokenEndpoint.audience: Invalid value: "API://azureadtokenexchange"`,
		"{tenantID: t, tokenEndpoint: {annotationSuffix: x, audience: a}}":                                                                                `azure.tokenEndpoint.url: Required value`,
		"{tenantID: t, tokenEndpoint: {annotationSuffix: x, audience: a, url: 'http://x'}}":                                                               `azure.tokenEndpoint.url: Invalid value: "http://x"`,
		"{tenantID: t, tokenEndpoint: {annotationSuffix: x, audience: a, url: 'https://u:p@x'}}":                                                          `azure.tokenEndpoint.url: Invalid value`,
		"{tenantID: t, tokenEndpoint: {annotationSuffix: x, audience: a, url: 'https://x?y'}}":                                                            `azure.tokenEndpoint.url: Invalid value`,
		"{tenantID: t, tokenEndpoint: {" + endpoint + ", caData: d, caConfigMap: c}}":                                                                     `azure.tokenEndpoint.caConfigMap: Forbidden: write one of caData and caConfigMap`,
		"{tenantID: t, tokenEndpoint: {" + endpoint + ", caConfigMap: c, caTrustBundle: {signerName: s}}}":                                                `azure.tokenEndpoint.caTrustBundle: Forbidden: write one of caConfigMap and caTrustBundle`,
		"{tenantID: t, tokenEndpoint: {" + endpoint + ", caConfigMap: C_}}":                                                                               `azure.tokenEndpoint.caConfigMap: Invalid value: "C_"`,
		"{tenantID: t, tokenEndpoint: {" + endpoint + ", caTrustBundle: {labelSelector: {}}}}":                                                            `azure.tokenEndpoint.caTrustBundle.signerName: Required value`,
		"{tenantID: t, tokenEndpoint: {" + endpoint + ", caTrustBundle: {signerName: s, labelSelector: {matchExpressions: [{key: env, operator: In}]}}}}": `azure.tokenEndpoint.caTrustBundle.labelSelector: Invalid value`,
	} {
		if got := validate(t, text); !strings.Contains(got, want) {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestConfigTakesWhatIsRight(t *testing.T) {
	for _, text := range []string{
		"{tenantID: t}",
		"{tenantID: contoso.onmicrosoft.com, environment: azurechinacloud, nativeSidecars: false, layout: 1.6}",
		"{tenantID: t, nativeSidecars: auto, layout: '1.5', proxy: {logLevel: all}, missingServiceAccount: Warn}",
		"{tenantID: t, nativeSidecars: null, layout: null}",
		"{tenantID: t, tokenEndpoint: {annotationSuffix: Identity-Binding, audience: 'api://x', url: 'https://x:8443/token', sniName: y}}",
		"{tenantID: t, tokenEndpoint: {annotationSuffix: x, audience: a, url: 'https://x', caTrustBundle: {signerName: example.com/s, labelSelector: {matchLabels: {a: b}}}}}",
	} {
		if got := validate(t, text); got != "" {
			t.Errorf("%s: %s", text, got)
		}
	}
}
