package gateway

import (
	"github.com/gatefold/gatefold/sdk/telemetry"
	"github.com/gatefold/gatefold/sdk/tlsfile"

	"github.com/gatefold/gatefold/gateway/internal/backend"
	"github.com/gatefold/gatefold/gateway/internal/codec"
)

// webhookEndpoint is what a connection to a webhook depends on beside its URL and TLS.
type webhookEndpoint struct{ caBundle, bearerTokenFile, reviewVersion string }

// webhookKey leaves out whether the backend is required: a webhook is never waited for.
func webhookKey(spec *Backend) endpoint {
	key := endpoint{target: spec.Endpoint, webhook: webhookEndpoint{
		caBundle: string(spec.CABundle), bearerTokenFile: spec.BearerTokenFile, reviewVersion: spec.ReviewVersion(),
	}}
	if spec.TLS != nil {
		key.tls = *spec.TLS
	}
	return key
}

func dialWebhook(spec *Backend, tel *telemetry.Telemetry) (*client, error) {
	cfg := tlsfile.ClientConfig{CA: spec.CABundle, Logger: tel.Logger}
	if spec.TLS != nil {
		cfg.CAFile, cfg.CertFile, cfg.KeyFile, cfg.ServerName = spec.TLS.CAFile, spec.TLS.CertFile, spec.TLS.KeyFile, spec.TLS.ServerName
	}
	files, err := tlsfile.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	versions := map[string]string{"v1": codec.V1, "v1beta1": codec.V1beta1}
	webhook, err := backend.NewWebhook(backend.WebhookConfig{
		URL: spec.Endpoint, APIVersion: versions[spec.ReviewVersion()], TLS: files, BearerTokenFile: spec.BearerTokenFile, Telemetry: tel,
	})
	if err != nil {
		return nil, err
	}
	return &client{asker: webhook, stop: follow(files)}, nil
}
