// Package gateway is the gate: kube-apiserver's one webhook, its ImagePolicyWebhook, and a gRPC API of the same
// two calls. It asks the mutators and validators that a GatewayConfig names, and makes one answer of theirs.
package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"

	"k8s.io/apimachinery/pkg/util/validation/field"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
	sdkconfig "github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/telemetry"

	"github.com/gatefold/gatefold/gateway/internal/config"
	"github.com/gatefold/gatefold/gateway/internal/route"
)

// Name is the gate's name in logs and telemetry.
const Name = "gateway"

// Config is kind GatewayConfig.
type Config = config.Config

// Backend is one mutator or validator in a Config.
type Backend = config.Backend

// The types of a Backend.
const (
	Mutator   = config.Mutator
	Validator = config.Validator
)

// The modes of a Backend.
const (
	Live   = config.Live
	Shadow = config.Shadow
)

// Options say how a gate is made. The zero value of each field has the meaning that is written there.
type Options struct {
	// ConfigFile is read, and watched by Run: a change that is good takes effect, one that is not is
	// logged and changes nothing.
	ConfigFile string
	// Config is used instead of ConfigFile. It must have its defaults set and be valid.
	Config *Config
	// Cluster knows the namespaces. Nil: opened from Source.
	Cluster *cluster.Cluster
	// Source says where the cluster's state comes from; used when Cluster is nil.
	Source cluster.Source
	// Listener is used instead of listening at listen.address. Run closes it.
	Listener net.Listener
	// AdminListener is used instead of listening at admin.address. Run closes it.
	AdminListener net.Listener
	// TLS is used instead of listen.tls and listen.clientAuth.
	TLS *tls.Config
	// DialInproc connects to backends whose endpoint is inproc://NAME. Nil: such backends are an error.
	DialInproc func(ctx context.Context, backend Backend) (net.Conn, error)
	// Telemetry is used, and not shut down. Nil: Run sets up its own from the environment, New has none.
	Telemetry *telemetry.Telemetry
	// Version is told by /version and telemetry.
	Version string
	// OnDecision is told of every review, after it was decided and before it is answered; its time is
	// the user's. Nil: nobody is told. It is called from many goroutines and must change nothing.
	OnDecision func(ctx context.Context, req *admissionv1.AdmissionRequest, decision *gatewayv1.Decision)
	// OnShadow is told what a shadow would have done about a review that was answered already: req is what it
	// was asked about, the object as the live mutators have left it. A step that failed is FAILED or IGNORED by
	// the shadow's own failurePolicy. Nil: nobody is told. It is called from many goroutines, not after the
	// gate is closed, and must change nothing.
	OnShadow func(ctx context.Context, req *admissionv1.AdmissionRequest, step *gatewayv1.Step)
}

// LoadConfig reads the GatewayConfig of a file. The error lists everything that is wrong with it, each with
// its line.
func LoadConfig(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return ParseConfig(path, data)
}

// ParseConfig is LoadConfig of data, which came from the file called path.
func ParseConfig(path string, data []byte) (*Config, error) {
	doc, err := sdkconfig.Parse[document](path, data, sdkconfig.GatewayConfig)
	if err != nil {
		return nil, err
	}
	return &doc.Config, nil
}

// document is a Config of which the selectors and conditions are checked too.
type document struct {
	Config `json:",inline"`
}

// Validate says everything that is wrong with the document.
func (d *document) Validate() field.ErrorList {
	errs := d.Config.Validate()
	_, compileErrs := compile(route.NewCompiler(), &d.Config)
	return append(errs, compileErrs...)
}
