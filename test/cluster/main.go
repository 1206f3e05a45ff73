// Command cluster runs a kube-apiserver and an etcd on this machine until it is interrupted: `make cluster`. There
// are no nodes, no controllers and no scheduler: objects are admitted and stored, and nothing becomes of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gatefold/gatefold/test/internal/harness"
)

func main() {
	dir := flag.String("dir", ".tmp/cluster", "where the kubeconfig is written")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *dir) //nolint:forbidigo // this is a main function's file
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err) //nolint:forbidigo // as above
		os.Exit(1)                               //nolint:forbidigo // as above
	}
}

func run(ctx context.Context, out io.Writer, dir string) (err error) {
	assets, err := harness.Assets()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the kubeconfig's folder: %w", err)
	}
	ctrllog.SetLogger(logr.Discard()) // envtest speaks through this global, and complains when nobody has set it
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		UseExistingCluster:       new(bool), // whatever the environment says
		ControlPlaneStartTimeout: time.Minute,
	}
	if _, err := env.Start(); err != nil {
		return fmt.Errorf("starting kube-apiserver and etcd: %w", err)
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	fmt.Fprintf(out, "kube-apiserver and etcd are running. In another terminal:\n\n  export KUBECONFIG=%s PATH=$PATH:%s\n\nCtrl-C to stop.\n", kubeconfig, assets)
	<-ctx.Done()
	return nil
}
