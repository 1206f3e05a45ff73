//go:build unix

package policy

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe among the files is told, and the others are read: whoever reads it would wait for ever.
func TestReadFilesWithPipe(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "b.yaml")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.yaml", "c.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := ReadFiles([]string{dir})
	if err == nil || !strings.Contains(err.Error(), pipe+" is not a regular file") {
		t.Errorf("the error is %v", err)
	}
	if len(files) != 2 {
		t.Errorf("%d files were read, want 2", len(files))
	}
}
