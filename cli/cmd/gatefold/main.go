// Command gatefold runs the gate on this machine, and reviews manifests with it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatefold/gatefold/cli/internal/command"
)

// version is set when the binary is built.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, drained or not.
	context.AfterFunc(ctx, stop)
	// By default a write to a closed standard output kills a Go program on the spot, and its temporary
	// files stay (package os/signal, SIGPIPE). Ignored, the write fails and the program ends as always.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(command.Execute(ctx, command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: version}, os.Args[1:]))
}
