//go:build unix

package config_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gatefold/gatefold/sdk/config"
)

// A Watcher does not read pipes: one in a folder would hold it up for ever, and what comes out of one that stands for
// the file itself, as <(...) in a shell does, is for the program.
func TestWatchPipes(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := syscall.Mkfifo(file, 0o644); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(file, []byte("content"), 0o644) }()

	watcher, err := config.NewWatcher(file)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	watcher.Also(folder)
	content, err := os.ReadFile(file)
	if err != nil || string(content) != "content" {
		t.Errorf("read %q, %v", content, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
