package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// ControlPlaneConfig says what is special about the kube-apiserver of a test.
type ControlPlaneConfig struct {
	// Dir is where its configuration files are written.
	Dir string
	// OTLPEndpoint is where it sends its spans, host:port of plain gRPC; every request is sampled.
	OTLPEndpoint string
	// WebhookClient is the certificate it shows to webhooks.
	WebhookClient KeyPair
	// Admission is the content of its AdmissionConfiguration. Empty: one that says no more than WebhookClient.
	Admission string
	// Plugins are admission plugins to enable beside those that are on by default.
	Plugins []string
	// DisablePlugins are admission plugins that it does without.
	DisablePlugins []string
}

// ControlPlane is a kube-apiserver and its etcd.
type ControlPlane struct {
	// Config reaches it as a cluster administrator.
	Config *rest.Config
	// Kubeconfig is the path of a kubeconfig file for the same.
	Kubeconfig string
	// AuditLog is the path of its audit log, with the metadata of every write, one JSON event a line.
	AuditLog string

	env *envtest.Environment
}

// StartControlPlane starts a kube-apiserver and an etcd on free loopback ports: the programs of
// KUBEBUILDER_ASSETS when it is set, those that `make controlplane` has built otherwise.
func StartControlPlane(c ControlPlaneConfig) (*ControlPlane, error) {
	assets, err := Assets()
	if err != nil {
		return nil, err
	}
	tracing, err := writeTracing(c.Dir, c.OTLPEndpoint)
	if err != nil {
		return nil, err
	}
	admission, err := writeAdmission(c)
	if err != nil {
		return nil, err
	}
	audit, err := writeAudit(c.Dir)
	if err != nil {
		return nil, err
	}
	auditLog := filepath.Join(c.Dir, "audit.log")
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		UseExistingCluster:       new(bool), // whatever the environment says: never a cluster that somebody needs
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	env.ControlPlane.GetAPIServer().Configure().
		Set("tracing-config-file", tracing).
		Set("admission-control-config-file", admission).
		Set("audit-policy-file", audit).
		Set("audit-log-path", auditLog).
		Set("audit-log-mode", "blocking").
		// envtest switches it off; pods get their token volume from it, as everywhere.
		Set("disable-admission-plugins", append([]string{"StorageObjectInUseProtection"}, c.DisablePlugins...)...)
	if len(c.Plugins) > 0 {
		env.ControlPlane.GetAPIServer().Configure().Set("enable-admission-plugins", c.Plugins...)
	}
	ctrllog.SetLogger(logr.Discard()) // envtest speaks through this global, and complains when nobody has set it
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the control plane: %w", err)
	}
	// Throttling the tests would only measure the throttle.
	config.QPS, config.Burst = -1, 0
	p := &ControlPlane{Config: config, Kubeconfig: filepath.Join(c.Dir, "kubeconfig"), AuditLog: auditLog, env: env}
	if err := os.WriteFile(p.Kubeconfig, env.KubeConfig, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the kubeconfig: %w", err), p.Stop())
	}
	return p, nil
}

// Stop ends both programs.
func (p *ControlPlane) Stop() error {
	if err := p.env.Stop(); err != nil {
		return fmt.Errorf("stopping the control plane: %w", err)
	}
	return nil
}

// Assets returns the folder of the control plane's programs: KUBEBUILDER_ASSETS when it is set, what `make
// controlplane` has built otherwise.
func Assets() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	built, err := filepath.Glob(filepath.Join(root, "bin", "controlplane", "*", "kube-apiserver"))
	if err != nil || len(built) == 0 {
		return "", errors.New("no control plane to test against: run make controlplane, or set KUBEBUILDER_ASSETS to a folder with kube-apiserver and etcd")
	}
	return filepath.Dir(built[len(built)-1]), nil
}

func writeTracing(dir, endpoint string) (string, error) {
	return writeFile(dir, "tracing.yaml", fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: TracingConfiguration
endpoint: %s
samplingRatePerMillion: 1000000
`, endpoint))
}

// writeAudit makes kube-apiserver keep what admission says about every write.
func writeAudit(dir string) (string, error) {
	return writeFile(dir, "audit.yaml", `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete]
`)
}

// writeAdmission makes kube-apiserver show a client certificate to every webhook, of both kinds, if it is not told
// otherwise.
func writeAdmission(c ControlPlaneConfig) (string, error) {
	if c.Admission != "" {
		return writeFile(c.Dir, "admission.yaml", c.Admission)
	}
	kubeconfig, err := writeFile(c.Dir, "webhook-client.kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
users:
- name: "*"
  user: {client-certificate: %q, client-key: %q}
`, c.WebhookClient.CertFile, c.WebhookClient.KeyFile))
	if err != nil {
		return "", err
	}
	return writeFile(c.Dir, "admission.yaml", fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration: &webhooks
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %q
- name: ValidatingAdmissionWebhook
  configuration: *webhooks
`, kubeconfig))
}

func writeFile(dir, name, content string) (string, error) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	return path, nil
}
