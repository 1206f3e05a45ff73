//go:build unix

package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe among the files of a folder is told, and the others are read; one that is named itself is read, as of <(...).
func TestReadPipes(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "b.yaml")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	const pod = "kind: Pod\napiVersion: v1\nmetadata: {name: x}\n"
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(pod), 0o644); err != nil {
		t.Fatal(err)
	}
	objects, err := Read(strings.NewReader(""), dir)
	if err == nil || !strings.Contains(err.Error(), pipe+": not a regular file") || len(objects) != 1 {
		t.Errorf("of a folder: %d objects, %v", len(objects), err)
	}

	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte(pod), 0o644) }()
	if objects, err = Read(strings.NewReader(""), pipe); err != nil || len(objects) != 1 {
		t.Errorf("named itself: %d objects, %v", len(objects), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
