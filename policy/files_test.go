package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yml", "c.json", "README.md", "a_test.yaml", "cases/x.yaml"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := ReadFiles([]string{dir, filepath.Join(dir, "cases", "x.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		rel, _ := filepath.Rel(dir, f.Name)
		names = append(names, rel)
	}
	if diff := cmp.Diff([]string{"a.yml", "b.yaml", "c.json", "cases/x.yaml"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := ReadFiles([]string{filepath.Join(dir, "gone"), filepath.Join(dir, "gone too")}); err == nil || strings.Count(err.Error(), "no such file") != 2 {
		t.Errorf("two missing paths: %v", err)
	}
}
