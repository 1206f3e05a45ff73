package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a command that goes on may take to print what it should, and one may be tried again.
const patience = time.Minute

// Shell does steps, one after the other, in a folder.
type Shell struct {
	// Dir is the folder.
	Dir string
	// Env is the environment.
	Env []string
	// Instead replaces whole commands.
	Instead map[string]string

	exports []string // what commands before this one have exported
	running []*background
}

// Do does one step. The error says how it went otherwise than the page says.
func (sh *Shell) Do(ctx context.Context, s Step) error {
	switch {
	case s.File != "":
		path := filepath.Join(sh.Dir, s.File)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(s.Content), 0o644)
	case s.Background != "":
		return sh.start(ctx, s)
	case strings.HasPrefix(s.Command, "export "):
		sh.exports = append(sh.exports, s.Command)
		return nil
	}
	for deadline := time.Now().Add(patience); ; {
		err := sh.run(ctx, s)
		if err == nil || !s.Eventually || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (sh *Shell) command(ctx context.Context, s Step) *exec.Cmd {
	text := s.Command
	if instead, is := sh.Instead[text]; is {
		text = instead
	}
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", strings.Join(append(slices.Clip(sh.exports), text), "\n"))
	cmd.Dir, cmd.Env = sh.Dir, sh.Env
	return cmd
}

func (sh *Shell) run(ctx context.Context, s Step) error {
	out, err := sh.command(ctx, s).CombinedOutput()
	code := 0
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		code = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if code != s.Exit {
		return fmt.Errorf("$ %s\nended with %d, not with %d:\n%s", s.Command, code, s.Exit, out)
	}
	if !s.Matches(string(out)) {
		return fmt.Errorf("$ %s\nprinted:\n%s\nand not:\n%s", s.Command, out, s.Output)
	}
	return nil
}

// background is a command that goes on.
type background struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu     sync.Mutex
	output bytes.Buffer
}

// Write implements io.Writer.
func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.output.Write(p)
}

func (b *background) printed() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.output.String()
}

func (sh *Shell) start(ctx context.Context, s Step) error {
	b := &background{cmd: sh.command(context.WithoutCancel(ctx), s), done: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = b, b
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // bash and what it starts are interrupted together
	if err := b.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(b.done)
		_ = b.cmd.Wait() // it is judged by what it prints
	}()
	sh.running = append(sh.running, b)
	for deadline := time.Now().Add(patience); !strings.Contains(b.printed(), s.Background); time.Sleep(20 * time.Millisecond) {
		select {
		case <-b.done:
			return fmt.Errorf("$ %s\nended, having printed:\n%s", s.Command, b.printed())
		default:
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("$ %s\nhas not printed %q, but:\n%s", s.Command, s.Background, b.printed())
		}
	}
	return nil
}

// Stop ends what goes on, the last first, as Ctrl-C does.
func (sh *Shell) Stop() {
	for _, b := range slices.Backward(sh.running) {
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-b.done:
		case <-time.After(patience):
			_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
			<-b.done
		}
	}
}
