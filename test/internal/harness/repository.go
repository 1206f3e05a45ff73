package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Root is the folder of the checkout: the nearest one upwards that holds go.work.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding the checkout: no go.work in this folder or above it")
		}
		dir = parent
	}
}

// Binaries are the programs under test.
type Binaries struct {
	// Gateway, Mutator and Validator are the paths of the programs.
	Gateway, Mutator, Validator string
}

// Build compiles the programs into dir. They are watched for data races exactly when the test is.
func Build(ctx context.Context, dir string) (Binaries, error) {
	err := build(ctx, dir, "./gateway/cmd/gateway", "./mutator-svc/cmd/mutator", "./validator-svc/cmd/validator")
	return Binaries{
		Gateway:   filepath.Join(dir, "gateway"),
		Mutator:   filepath.Join(dir, "mutator"),
		Validator: filepath.Join(dir, "validator"),
	}, err
}

// BuildCLI compiles gatefold into dir, as Build does, and returns its path.
func BuildCLI(ctx context.Context, dir string) (string, error) {
	return filepath.Join(dir, "gatefold"), build(ctx, dir, "./cli/cmd/gatefold")
}

// BuildCluster compiles the program of `make cluster` into dir, and returns its path.
func BuildCluster(ctx context.Context, dir string) (string, error) {
	return filepath.Join(dir, "cluster"), build(ctx, dir, "./test/cluster")
}

func build(ctx context.Context, dir string, packages ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
