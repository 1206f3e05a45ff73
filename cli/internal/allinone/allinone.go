// Package allinone runs everything in one process on loopback, and shows it at work on example objects.
package allinone

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/render"
	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/stack"
	"github.com/gatefold/gatefold/gateway"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"
)

// Options say what to run.
type Options struct {
	// Config is the configuration; the services and the gate follow changes of its file.
	Config *stack.Config
	// Address and AdminAddress are where to listen; empty: as the configuration says.
	Address, AdminAddress string
	// Requests makes the requests about Examples.
	Requests *review.Requests
	// Cluster is where namespaces and ServiceAccounts are looked up.
	Cluster *cluster.Cluster
	// Examples are sent through the gate at the start.
	Examples []manifest.Object
	// Folder is where the throwaway authority's certificate (ca.crt) and the examples as reviews are written; it
	// is made if need be, and stays. Empty: a temporary folder, which is removed in the end.
	Folder string
	// Once ends after the examples instead of serving on.
	Once bool
	// Version is told by /version and telemetry.
	Version string
	// Out receives the report, Logs the services' log lines.
	Out, Logs io.Writer
	// Verbose logs everything, as the services do on their own. Otherwise it is errors, and what became of
	// changes of the files, as readable lines.
	Verbose bool
	// Style is that of the report.
	Style render.Style
}

// Run starts everything, shows the examples and serves until ctx is done; then it drains the gate, and
// the services after it. It returns nil after a drain.
func Run(ctx context.Context, o Options) (err error) {
	tel, err := newTelemetry(ctx, o)
	if err != nil {
		return err
	}
	defer tel.shutdown(ctx, &err)
	doors, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer doors.clean()

	var decisions review.Decisions
	services := stack.NewServices(o.Config, stack.Options{
		Cluster: o.Cluster, Mutator: tel.mutator, Validator: tel.validator, Reload: true,
	})
	gate := gateway.Options{
		ConfigFile: o.Config.File, Cluster: o.Cluster, Version: o.Version,
		Listener: doors.reviews, AdminListener: doors.admin, TLS: doors.serverTLS,
		DialInproc: services.Dial, Telemetry: tel.gateway, OnDecision: decisions.Record,
	}
	show := demonstration{Options: o, doors: doors, telemetry: tel, decisions: &decisions}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// The services outlive the gate: reviews that it still answers while it drains need them.
	servicesCtx, stopServices := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServices()
	return run.Tasks(ctx,
		func(context.Context) error { return services.Run(servicesCtx) },
		func(ctx context.Context) error {
			defer stopServices()
			if err := services.WaitReady(ctx); err != nil {
				return err
			}
			return gateway.Run(ctx, gate)
		},
		func(ctx context.Context) error {
			if err := show.run(ctx); err != nil {
				return err
			}
			if o.Once {
				stop()
			}
			return nil
		},
	)
}

// doors are where the outside comes in, and what it needs for that.
type doors struct {
	reviews, admin net.Listener
	serverTLS      *tls.Config
	clientTLS      *tls.Config
	folder         string // of the files below
	temporary      bool   // whether folder goes in the end
	caFile         string
}

// open listens, and makes a throwaway authority with a certificate for the listener.
func open(ctx context.Context, o Options) (_ *doors, err error) {
	d := &doors{}
	defer func() {
		if err != nil {
			d.clean()
		}
	}()
	if d.reviews, err = listen(ctx, o.Address, o.Config.Gateway.Listen.Address, "--address"); err != nil {
		return nil, err
	}
	if d.admin, err = listen(ctx, o.AdminAddress, o.Config.Gateway.Admin.Address, "--admin-address"); err != nil {
		return nil, err
	}
	ca, err := throwaway.New("gatefold throwaway CA")
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(d.reviews.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("reading the listener's address: %w", err)
	}
	pair, err := ca.Server("localhost", "127.0.0.1", "::1", host)
	if err != nil {
		return nil, err
	}
	certificate, err := pair.TLS()
	if err != nil {
		return nil, fmt.Errorf("reading the throwaway certificate: %w", err)
	}
	d.serverTLS = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	d.clientTLS = &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}
	if d.folder = o.Folder; d.folder == "" {
		d.temporary = true
		d.folder, err = os.MkdirTemp("", "gatefold-")
	} else {
		err = os.MkdirAll(d.folder, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("making a folder for the certificate: %w", err)
	}
	d.caFile, err = ca.Write(d.folder, "ca")
	return d, err
}

// listen listens at address, or else at what the configuration says, or else at any port of loopback.
func listen(ctx context.Context, address, configured, flag string) (net.Listener, error) {
	if address == "" {
		address = configured
	}
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with %s, such as 127.0.0.1:0)", err, flag)
	}
	return l, nil
}

// clean closes what nobody serves, and removes the temporary files.
func (d *doors) clean() {
	for _, l := range []net.Listener{d.reviews, d.admin} {
		if l != nil {
			_ = l.Close() // closed already once it was served
		}
	}
	if d.temporary {
		_ = os.RemoveAll(d.folder) // left to the system's cleaning of temporary files
	}
}
