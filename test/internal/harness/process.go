package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// startTimeout is generous: a program watched for data races on a busy machine takes seconds to start.
const startTimeout = time.Minute

// stopTimeout is longer than any drain that a test configures.
const stopTimeout = 30 * time.Second

// Command says what to run.
type Command struct {
	// Path is the program.
	Path string
	// Args are its arguments.
	Args []string
	// Env is added to the environment of the test.
	Env []string
	// Ready is the URL that answers 200 once the program can work.
	Ready string
}

// Process is a program that runs beside the test.
type Process struct {
	cmd    *exec.Cmd
	logs   *logBuffer
	killed atomic.Bool
	done   chan struct{}
	err    error // set before done is closed
}

// Start runs a program and waits until it is ready.
func Start(ctx context.Context, c Command) (*Process, error) {
	p := &Process{logs: &logBuffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...) //nolint:noctx // Stop ends it, by the signal that a drain begins with
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.logs, p.logs
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	if err := p.awaitReady(ctx, c.Ready); err != nil {
		p.Kill()
		return nil, fmt.Errorf("starting %s: %w\n%s", c.Path, err, p.Logs())
	}
	return p, nil
}

func (p *Process) awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		<-p.done
		cancel(fmt.Errorf("it ended before it was ready: %w", p.err))
	}()
	return AwaitReady(ctx, url)
}

// AwaitReady waits until url answers 200.
func AwaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s did not answer 200 in %s", url, startTimeout))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if answers200(ctx, url) {
				return nil
			}
		}
	}
}

func answers200(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop asks the program to end, as Kubernetes does, and waits. It fails if the program does not end
// cleanly, unless it was killed. A program that has ended already is not asked again.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.Kill()
		return fmt.Errorf("stopping %s: still running after %s\n%s", p.cmd.Path, stopTimeout, p.Logs())
	}
	if p.err != nil && !p.killed.Load() {
		return fmt.Errorf("stopping %s: %w\n%s", p.cmd.Path, p.err, p.Logs())
	}
	return nil
}

// Kill ends the program at once, as a machine that loses power does.
func (p *Process) Kill() {
	p.killed.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Freeze stops the program where it is: it keeps its connections and answers nobody, until Kill.
func (p *Process) Freeze() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freezing %s: %w", p.cmd.Path, err)
	}
	return nil
}

// Logs is everything the program has written so far.
func (p *Process) Logs() string { return p.logs.String() }

// FreeAddress is a loopback address that nothing listened on a moment ago.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// logBuffer is a bytes.Buffer that is written and read at the same time.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is what was written so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
