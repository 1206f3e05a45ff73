package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/config"
)

func TestExecute(t *testing.T) {
	tests := map[string]struct {
		args []string
		err  error
		code int
		out  string // part of what is printed
	}{
		"a drain":               {args: []string{"--config", "x.yaml"}, code: ExitDrained},
		"a failure":             {args: []string{"--config", "x.yaml"}, err: errors.New("port taken"), code: ExitFailed, out: "judge: port taken"},
		"a bad configuration":   {args: []string{"--config", "x.yaml"}, err: fmt.Errorf("loading: %w", config.Problems{{File: "x.yaml", Line: 3, Message: "no"}}), code: ExitUsage, out: "x.yaml:3: no"},
		"an unusable one":       {args: []string{"--config", "x.yaml"}, err: fmt.Errorf("starting: %w", config.ErrUnusable), code: ExitUsage},
		"a missing file":        {args: []string{"--config", "x.yaml"}, err: fs.ErrNotExist, code: ExitUsage},
		"no configuration":      {args: []string{}, code: ExitUsage, out: `required flag(s) "config" not set`},
		"an unknown flag":       {args: []string{"--colour"}, code: ExitUsage, out: "unknown flag: --colour"},
		"an argument":           {args: []string{"--config", "x.yaml", "y"}, code: ExitUsage, out: "unknown command"},
		"two clusters":          {args: []string{"--config", "x.yaml", "--kubeconfig", "a", "--objects", "b"}, code: ExitUsage, out: "none of the others can be"},
		"a file and the pod's":  {args: []string{"--config", "x.yaml", "--objects", "b", "--in-cluster"}, code: ExitUsage, out: "none of the others can be"},
		"the pod's reaches Run": {args: []string{"--config", "x.yaml", "--in-cluster"}, err: errors.New("echo"), code: ExitFailed, out: "x.yaml [] true"},
		"help":                  {args: []string{"--help"}, code: ExitDrained, out: "file with a JudgeConfig"},
		"version":               {args: []string{"--version"}, code: ExitDrained, out: "judge version v9"},
		"its flags reach Run":   {args: []string{"--config", "x.yaml", "--objects", "a,b"}, err: errors.New("echo"), code: ExitFailed, out: "x.yaml [a b] false"},
		"the file and the kind": {args: []string{"-h"}, code: ExitDrained, out: "judge --config FILE"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := Program{
				Name: "judge", Kind: "JudgeConfig", Short: "Judge", Version: "v9", Cluster: "courts",
				Run: func(_ context.Context, configFile string, source cluster.Source) error {
					if test.err == nil {
						return nil
					}
					return fmt.Errorf("%w (%s %v %t)", test.err, configFile, source.ObjectFiles, source.InCluster)
				},
			}.Execute(t.Context(), test.args, &out, &out)
			if code != test.code || !strings.Contains(out.String(), test.out) {
				t.Errorf("exit code %d, want %d with %q:\n%s", code, test.code, test.out, out.String())
			}
		})
	}
}
