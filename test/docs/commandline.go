package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// usage is the exit code that the page promises for a command line or configuration that cannot be used.
const usage = 2

// program is one of the binaries, with its help and that of its subcommands.
type program struct {
	Name  string
	Helps []described
}

// commandLine builds the programs and asks them for help.
func commandLine(ctx context.Context, root string, _ *words) (any, error) {
	dir, err := os.MkdirTemp("", "docs-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // left to the system's cleaning of temporary files
	build := exec.CommandContext(ctx, "go", "build", "-o", dir+"/",
		"./cli/cmd/gatefold", "./gateway/cmd/gateway", "./mutator-svc/cmd/mutator", "./validator-svc/cmd/validator")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	var programs []program
	for _, name := range []string{"gatefold", "gateway", "mutator", "validator"} {
		p := program{Name: name}
		if err := p.ask(ctx, dir); err != nil {
			return nil, err
		}
		if err := refuses(ctx, dir, name); err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	return programs, nil
}

var subcommand = regexp.MustCompile(`(?m)^  ([a-z]+)  +\S`)

// ask collects the help of the program and of its subcommands, but for those that cobra adds.
func (p *program) ask(ctx context.Context, dir string) error {
	help, err := exec.CommandContext(ctx, filepath.Join(dir, p.Name), "--help").Output()
	if err != nil {
		return fmt.Errorf("%s --help: %w", p.Name, err)
	}
	p.Helps = append(p.Helps, described{p.Name, strings.TrimSpace(string(help))})
	commands, _, _ := strings.Cut(string(help), "\nFlags:")
	for _, match := range subcommand.FindAllStringSubmatch(commands, -1) {
		if match[1] == "help" || match[1] == "completion" {
			continue
		}
		help, err := exec.CommandContext(ctx, filepath.Join(dir, p.Name), match[1], "--help").Output()
		if err != nil {
			return fmt.Errorf("%s %s --help: %w", p.Name, match[1], err)
		}
		p.Helps = append(p.Helps, described{p.Name + " " + match[1], strings.TrimSpace(string(help))})
	}
	return nil
}

// refuses checks the exit codes that the page names.
func refuses(ctx context.Context, dir, name string) error {
	unusable := filepath.Join(dir, "unusable.yaml")
	if err := os.WriteFile(unusable, []byte("kind: Nonsense\n"), 0o600); err != nil {
		return err
	}
	tries := [][]string{{"--nonsense"}, {"--config", unusable}}
	if name == "gatefold" {
		tries = [][]string{{"--nonsense"}, {"check", "--config", unusable}, {"run", "--config", unusable}}
	}
	for _, args := range tries {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, name), args...)
		_ = cmd.Run() // the exit code says it all
		if code := cmd.ProcessState.ExitCode(); code != usage {
			return fmt.Errorf("%s %s ended with exit code %d, and the page says %d", name, strings.Join(args, " "), code, usage)
		}
	}
	return nil
}
