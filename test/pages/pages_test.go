// Package pages does what the pages of the documentation say, and holds it against what they show.
package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/test/internal/harness"
	"github.com/gatefold/gatefold/test/internal/page"
)

// pages are those that can be followed from beginning to end.
var pages = []string{
	"docs/how-to/limit-how-many.md",
	"docs/how-to/stamp-labels.md",
	"docs/how-to/test-policies.md",
	"docs/how-to/use-policies.md",
	"docs/tutorials/first-refusal.md",
	"docs/tutorials/stamp-a-label.md",
}

func TestPages(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if _, err := harness.BuildCLI(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	assets, err := harness.Assets()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := harness.BuildCluster(t.Context(), bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".md"), func(t *testing.T) {
			steps, err := page.Read(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			if len(steps) == 0 {
				t.Fatal("there is nothing to do on this page")
			}
			// A folder that looks like a checkout after make build.
			dir := t.TempDir()
			for _, folder := range []string{"examples", "deploy"} {
				if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(bin, filepath.Join(dir, "bin")); err != nil {
				t.Fatal(err)
			}
			shell := &page.Shell{
				Dir: dir,
				Env: append(os.Environ(), "PATH="+assets+":"+os.Getenv("PATH"), "KUBEBUILDER_ASSETS="+assets, "NO_COLOR=1"),
				// What the targets do once everything has been built.
				Instead: map[string]string{
					"make cluster": "exec " + cluster + " -dir .tmp/cluster",
					`make run RUNFLAGS="--folder .tmp/first"`: "exec bin/gatefold run --config examples/gatefold.yaml --folder .tmp/first",
				},
			}
			defer shell.Stop()
			for _, s := range steps {
				if err := shell.Do(t.Context(), s); err != nil {
					t.Fatalf("%s:%d: %v", name, s.Line, err)
				}
			}
		})
	}
}
