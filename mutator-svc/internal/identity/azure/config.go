package azure

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// defaultAudience is what Microsoft Entra expects of every token that is traded with it.
const defaultAudience = "api://AzureADTokenExchange"

// Layout is where the token is in a pod, by the version of the reference that puts it there.
type Layout string

// The layouts.
const (
	Layout15 Layout = "1.5"
	Layout16 Layout = "1.6"
)

// UnmarshalJSON also takes a number, as which YAML reads a version without quotes.
func (l *Layout) UnmarshalJSON(data []byte) error { return unmarshalWord(data, (*string)(l)) }

// NativeSidecars says whether the proxy is a native sidecar.
type NativeSidecars string

// The choices.
const (
	NativeSidecarsTrue  NativeSidecars = "true"
	NativeSidecarsFalse NativeSidecars = "false"
	NativeSidecarsAuto  NativeSidecars = "auto"
)

// UnmarshalJSON also takes true and false without quotes.
func (n *NativeSidecars) UnmarshalJSON(data []byte) error { return unmarshalWord(data, (*string)(n)) }

// unmarshalWord takes a text, or else whatever is written, which Validate then judges.
func unmarshalWord(data []byte, word *string) error {
	if len(data) > 0 && data[0] == '"' || string(data) == "null" {
		return json.Unmarshal(data, word)
	}
	*word = string(data)
	return nil
}

// Config is how Azure identities are given to pods. The defaults are those of Azure Workload Identity, so
// that it can be replaced without touching any annotation.
type Config struct {
	// TenantID is the tenant of the ServiceAccounts that name none.
	TenantID string `json:"tenantID"`
	// Environment is the cloud, which decides about AZURE_AUTHORITY_HOST: AzurePublicCloud (or
	// AzureCloud), AzureUSGovernment (or AzureUSGovernmentCloud), AzureChinaCloud or AzureGermanCloud, in
	// any case. Default: AzurePublicCloud.
	Environment string `json:"environment,omitempty"`
	// Audience is the token's audience. Default: api://AzureADTokenExchange.
	Audience string `json:"audience,omitempty"`
	// Layout is where the token is: "1.6" has a volume with a reserved name of each pod's own, mounted at
	// /var/run/secrets/azure/wi, which replaces what stands in its place; "1.5", as older versions have
	// it, the volume azure-identity-token at /var/run/secrets/azure/tokens, and of a volume with such a
	// token, or a mount of that name, what is there stays. Default: 1.6.
	Layout Layout `json:"layout,omitempty"`
	// NativeSidecars says whether the proxy is an init container that keeps running: true, false or auto,
	// which is true from Kubernetes 1.32 on. The server is asked for its version once. Default: auto.
	NativeSidecars NativeSidecars `json:"nativeSidecars,omitempty"`
	// Proxy is about the proxy that pods may ask for.
	Proxy Proxy `json:"proxy,omitzero"`
	// TokenEndpoint is where pods that ask for it trade their tokens. Absent: they cannot ask.
	TokenEndpoint *TokenEndpoint `json:"tokenEndpoint,omitempty"`
	// Policies are by default Deny. A value that cannot be used counts otherwise as absent: of a token's
	// life the ServiceAccount's or 3600 is used, of a port 8000. A pod on its node's network that asks for
	// a proxy gets an identity and no proxy.
	profile.Policies `json:",inline"`
}

// Proxy is about the proxy.
type Proxy struct {
	// Image is the proxy's. Default: mcr.microsoft.com/oss/azure/workload-identity/proxy:v1.6.0.
	Image string `json:"image,omitempty"`
	// InitImage is that of the init container that redirects to the proxy. Default:
	// mcr.microsoft.com/oss/azure/workload-identity/proxy-init:v1.6.0.
	InitImage string `json:"initImage,omitempty"`
	// LogLevel is info, debug, trace or all. Default: info.
	LogLevel string `json:"logLevel,omitempty"`
}

// TokenEndpoint is a server that stands between pods and Microsoft Entra. Of caData, caConfigMap and
// caTrustBundle at most one is given. AZURE_KUBERNETES_CA_FILE is set in any case.
type TokenEndpoint struct {
	// AnnotationSuffix makes the annotation azure.workload.identity/use-SUFFIX, by which pods ask for it.
	AnnotationSuffix string `json:"annotationSuffix"`
	// Audience is that of the tokens of pods that use it. It cannot be the default audience.
	Audience string `json:"audience"`
	// URL is where it is, for AZURE_KUBERNETES_TOKEN_PROXY: https, without a query.
	URL string `json:"url"`
	// SNIName is the server name to ask for in TLS. Empty: the URL's.
	SNIName string `json:"sniName,omitempty"`
	// CAData is its CA certificate, as PEM, for AZURE_KUBERNETES_CA_DATA. Azure SDKs that refuse this
	// together with AZURE_KUBERNETES_CA_FILE need one of the other ways.
	CAData string `json:"caData,omitempty"`
	// CAConfigMap is the name of a ConfigMap of the pod's namespace that has the CA certificate in
	// ca.crt.
	CAConfigMap string `json:"caConfigMap,omitempty"`
	// CATrustBundle selects the ClusterTrustBundles that are the CA certificates.
	CATrustBundle *TrustBundle `json:"caTrustBundle,omitempty"`
}

// TrustBundle selects ClusterTrustBundles.
type TrustBundle struct {
	// SignerName is their signer.
	SignerName string `json:"signerName"`
	// LabelSelector selects by labels. Absent: none of the signer's; empty: all of them.
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// SetDefaults fills what was left out.
func (c *Config) SetDefaults() {
	const images = "mcr.microsoft.com/oss/azure/workload-identity/"
	profile.SetDefault(&c.Environment, "AzurePublicCloud")
	profile.SetDefault(&c.Audience, defaultAudience)
	profile.SetDefault(&c.Layout, Layout16)
	profile.SetDefault(&c.NativeSidecars, NativeSidecarsAuto)
	profile.SetDefault(&c.Proxy.Image, images+"proxy:v1.6.0")
	profile.SetDefault(&c.Proxy.InitImage, images+"proxy-init:v1.6.0")
	profile.SetDefault(&c.Proxy.LogLevel, "info")
	c.Policies.SetDefaults(profile.Deny, profile.Deny)
}

// authorityHost is where an environment's tokens are traded.
func authorityHost(environment string) (host string, known bool) {
	switch strings.ToLower(environment) {
	case "azurepubliccloud", "azurecloud":
		return "https://login.microsoftonline.com/", true
	case "azureusgovernment", "azureusgovernmentcloud":
		return "https://login.microsoftonline.us/", true
	case "azurechinacloud":
		return "https://login.chinacloudapi.cn/", true
	case "azuregermancloud":
		return "https://login.microsoftonline.de/", true
	}
	return "", false
}

// Validate says what is wrong with c, which stands at at.
func (c *Config) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.TenantID == "" {
		errs = append(errs, field.Required(at.Child("tenantID"), "write the ID of the Microsoft Entra tenant"))
	}
	if _, known := authorityHost(c.Environment); !known {
		errs = append(errs, field.NotSupported(at.Child("environment"), c.Environment,
			[]string{"AzurePublicCloud", "AzureCloud", "AzureUSGovernment", "AzureUSGovernmentCloud", "AzureChinaCloud", "AzureGermanCloud"}))
	}
	errs = append(errs, oneOf(at.Child("layout"), c.Layout, Layout16, Layout15)...)
	errs = append(errs, oneOf(at.Child("nativeSidecars"), c.NativeSidecars, NativeSidecarsTrue, NativeSidecarsFalse, NativeSidecarsAuto)...)
	errs = append(errs, oneOf(at.Child("proxy", "logLevel"), c.Proxy.LogLevel, "info", "debug", "trace", "all")...)
	errs = append(errs, profile.CheckImage(c.Proxy.Image, at.Child("proxy", "image"))...)
	errs = append(errs, profile.CheckImage(c.Proxy.InitImage, at.Child("proxy", "initImage"))...)
	if c.TokenEndpoint != nil {
		at := at.Child("tokenEndpoint")
		if c.Layout == Layout15 {
			errs = append(errs, field.Forbidden(at, "layout 1.5 has no token endpoint: take layout off, or this"))
		}
		errs = append(errs, c.TokenEndpoint.validate(at)...)
	}
	return append(errs, c.Policies.Validate(at)...)
}

func oneOf[S ~string](at *field.Path, value S, known ...S) field.ErrorList {
	if slices.Contains(known, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, known)}
}

// annotation is that by which pods ask for the endpoint.
func (e *TokenEndpoint) annotation() string { return annotationEndpoint + e.AnnotationSuffix }

func (e *TokenEndpoint) validate(at *field.Path) (errs field.ErrorList) {
	if e.AnnotationSuffix == "" {
		errs = append(errs, field.Required(at.Child("annotationSuffix"), "write what follows use- in the annotation of pods, such as identity-binding"))
	} else if problems := validation.IsQualifiedName(strings.ToLower(e.annotation())); len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("annotationSuffix"), e.AnnotationSuffix, strings.Join(problems, "; ")))
	}
	if e.Audience == "" {
		errs = append(errs, field.Required(at.Child("audience"), "write the audience that the endpoint expects"))
	} else if strings.EqualFold(e.Audience, defaultAudience) {
		errs = append(errs, field.Invalid(at.Child("audience"), e.Audience, "write the endpoint's own audience; this one is Microsoft Entra's"))
	}
	if e.URL == "" {
		errs = append(errs, field.Required(at.Child("url"), "write the endpoint's https URL"))
	} else if !usable(e.URL) {
		errs = append(errs, field.Invalid(at.Child("url"), e.URL, "write an https URL without user, query and fragment; Azure SDKs refuse any other"))
	}
	return append(errs, e.validateCA(at)...)
}

func usable(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && !strings.ContainsAny(text, "?#")
}

func (e *TokenEndpoint) validateCA(at *field.Path) (errs field.ErrorList) {
	var given []string
	for _, way := range []struct {
		name  string
		given bool
	}{{"caData", e.CAData != ""}, {"caConfigMap", e.CAConfigMap != ""}, {"caTrustBundle", e.CATrustBundle != nil}} {
		if way.given {
			given = append(given, way.name)
		}
	}
	if len(given) > 1 {
		errs = append(errs, field.Forbidden(at.Child(given[1]), "write one of "+strings.Join(given, " and ")))
	}
	if e.CAConfigMap != "" {
		if problems := validation.IsDNS1123Subdomain(e.CAConfigMap); len(problems) > 0 {
			errs = append(errs, field.Invalid(at.Child("caConfigMap"), e.CAConfigMap, strings.Join(problems, "; ")))
		}
	}
	if b := e.CATrustBundle; b != nil {
		at := at.Child("caTrustBundle")
		if b.SignerName == "" {
			errs = append(errs, field.Required(at.Child("signerName"), "write the signer of the ClusterTrustBundles"))
		} else if domain, name, ok := strings.Cut(b.SignerName, "/"); !ok || name == "" || len(validation.IsDNS1123Subdomain(domain)) > 0 {
			errs = append(errs, field.Invalid(at.Child("signerName"), b.SignerName, "write the signer of the ClusterTrustBundles, such as example.com/signer"))
		}
		if _, err := metav1.LabelSelectorAsSelector(b.LabelSelector); err != nil {
			errs = append(errs, field.Invalid(at.Child("labelSelector"), b.LabelSelector, err.Error()))
		}
	}
	return errs
}
