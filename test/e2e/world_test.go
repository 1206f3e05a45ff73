package e2e

import (
	"maps"
	"net/http"
	"path/filepath"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// world is everything that runs while the tests of this package do.
type world struct {
	controlPlane *harness.ControlPlane
	collector    *harness.Collector
	pki          *harness.PKI
	binaries     harness.Binaries
	dir          string

	mutator   *service
	validator *service
	rogue     string           // the address of a mutator that misbehaves
	gates     map[string]*gate // by the protocol they speak with kube-apiserver
}

// service is a mutator or validator process.
type service struct {
	binary, config, address, admin string
	process                        *harness.Process
}

// gate is one gateway process.
type gate struct {
	address   string
	admin     string
	config    string // path
	apiserver harness.KeyPair
	process   *harness.Process
}

func (g *gate) url(path string) string { return "https://" + g.address + path }

// newControlPlane returns a world that has nothing but a control plane, which does without the given plugins, and what
// it needs.
func newControlPlane(t *testing.T, without ...string) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	w.collector = must(harness.StartCollector(t.Context()))(t)
	t.Cleanup(w.collector.Stop)
	w.pki = must(harness.NewPKI(w.dir, "authority"))(t)
	w.controlPlane = startControlPlane(t, harness.ControlPlaneConfig{
		Dir: w.dir, OTLPEndpoint: w.collector.Address, WebhookClient: must(w.pki.Client("kube-apiserver"))(t), DisablePlugins: without,
	})
	return w
}

// startControlPlane starts a control plane, which runs until the end of the test.
func startControlPlane(t *testing.T, c harness.ControlPlaneConfig) *harness.ControlPlane {
	t.Helper()
	p := must(harness.StartControlPlane(c))(t)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := newControlPlane(t)
	w.binaries = must(harness.Build(t.Context(), w.dir))(t)
	apiserver := must(w.pki.Client("kube-apiserver"))(t)
	w.mutator = w.startService(t, "mutator", w.binaries.Mutator)
	w.validator = w.startService(t, "validator", w.binaries.Validator)
	w.rogue = w.startRogue(t)
	w.gates = map[string]*gate{
		"http1": w.startGate(t, "http/1.1", apiserver),
		"http2": w.startGate(t, "h2", apiserver),
	}
	return w
}

func (w *world) startService(t *testing.T, name, binary string) *service {
	t.Helper()
	return w.startServiceWith(t, name, binary, must(filepath.Abs(filepath.Join("testdata", "policies")))(t))
}

// startServiceWith is startService with a folder of policies.
func (w *world) startServiceWith(t *testing.T, name, binary, policies string) *service {
	t.Helper()
	s := &service{binary: binary, address: must(harness.FreeAddress())(t), admin: must(harness.FreeAddress())(t)}
	s.config = must(harness.Render(filepath.Join("testdata", name+".yaml"), w.dir, map[string]any{
		"Address": s.address, "Admin": s.admin, "CAFile": w.pki.CAFile,
		"Server": must(w.pki.Server(name))(t), "Policies": policies,
	}))(t)
	s.process = w.start(t, s.binary, s.config, s.admin)
	return s
}

func (w *world) startGate(t *testing.T, alpn string, apiserver harness.KeyPair) *gate {
	t.Helper()
	return w.startGateFrom(t, "gateway.yaml", apiserver, map[string]any{
		"ALPN": alpn, "Mutator": w.mutator.address, "Validator": w.validator.address, "Rogue": w.rogue,
		"Nobody": must(harness.FreeAddress())(t),
	})
}

// startGateFrom runs a gate with a configuration of testdata, of which the addresses and certificates are
// filled in here and everything else by values.
func (w *world) startGateFrom(t *testing.T, file string, apiserver harness.KeyPair, values map[string]any) *gate {
	t.Helper()
	return w.startGateAt(t, must(harness.FreeAddress())(t), file, apiserver, values)
}

// startGateAt is startGateFrom for an address that somebody had to know before.
func (w *world) startGateAt(t *testing.T, address, file string, apiserver harness.KeyPair, values map[string]any) *gate {
	t.Helper()
	g := &gate{apiserver: apiserver, address: address, admin: must(harness.FreeAddress())(t)}
	all := map[string]any{
		"Address": g.address, "Admin": g.admin, "CAFile": w.pki.CAFile,
		"Server": must(w.pki.Server("gateway"))(t),
		"Client": must(w.pki.Client("gateway"))(t),
	}
	maps.Copy(all, values)
	g.config = must(harness.Render(filepath.Join("testdata", file), w.dir, all))(t)
	g.process = w.start(t, w.binaries.Gateway, g.config, g.admin)
	return g
}

// start runs a program of the cluster until the end of the test.
func (w *world) start(t *testing.T, binary, config, admin string) *harness.Process {
	t.Helper()
	return runUntilEnd(t, harness.Command{
		Path: binary,
		Args: []string{"--config", config, "--kubeconfig", w.controlPlane.Kubeconfig},
		Env: append(w.collector.Env(),
			"OTEL_BSP_SCHEDULE_DELAY=100", // milliseconds; the default of 5 s would only make the tests wait
			"GORACE=halt_on_error=1",
		),
		Ready: "http://" + admin + "/readyz",
	})
}

// runUntilEnd runs a program until the end of the test, which fails if it does not end cleanly.
func runUntilEnd(t *testing.T, command harness.Command) *harness.Process {
	t.Helper()
	process := must(harness.Start(t.Context(), command))(t)
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		} else if t.Failed() {
			t.Logf("%s wrote:\n%s", filepath.Base(command.Path), process.Logs())
		}
	})
	return process
}

// client is a cluster's user: what it is told in warnings is kept.
type client struct {
	kubernetes.Interface
	dynamic  dynamic.Interface
	warnings *warnings
}

// client returns a cluster administrator with the given headers on each request.
func (w *world) client(t *testing.T, headers map[string]string) *client {
	t.Helper()
	c := &client{warnings: &warnings{}}
	config := rest.CopyConfig(w.controlPlane.Config)
	config.WarningHandler = c.warnings
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return withHeaders{next, headers} })
	c.Interface = must(kubernetes.NewForConfig(config))(t)
	c.dynamic = must(dynamic.NewForConfig(config))(t)
	return c
}

// must makes a test end at an error of a call that has one other result: must(f())(t).
func must[T any](value T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return value
	}
}
