package config_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatefold/gatefold/sdk/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watch starts a Watcher and returns the channel of its calls.
func watch(t *testing.T, file string, also ...string) <-chan struct{} {
	t.Helper()
	w, err := config.NewWatcher(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.Also(also...)
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan struct{}, 10), make(chan error)
	go func() { done <- w.Run(ctx, func() { changes <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return changes
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".new"); err != nil {
		t.Fatal(err)
	}
	rename(t, path+".new", path)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string) (watched string)
		change  func(t *testing.T, dir string)
	}{
		{
			"written in place",
			func(t *testing.T, dir string) string { write(t, dir+"/c.yaml", "1"); return dir + "/c.yaml" },
			func(t *testing.T, dir string) { write(t, dir+"/c.yaml", "2") },
		},
		{
			"renamed over",
			func(t *testing.T, dir string) string { write(t, dir+"/c.yaml", "1"); return dir + "/c.yaml" },
			func(t *testing.T, dir string) { write(t, dir+"/tmp", "2"); rename(t, dir+"/tmp", dir+"/c.yaml") },
		},
		{
			"a ConfigMap volume",
			func(t *testing.T, dir string) string {
				mkdir(t, dir+"/..1")
				write(t, dir+"/..1/c.yaml", "1")
				link(t, "..1", dir+"/..data")
				link(t, "..data/c.yaml", dir+"/c.yaml")
				return dir + "/c.yaml"
			},
			func(t *testing.T, dir string) {
				mkdir(t, dir+"/..2")
				write(t, dir+"/..2/c.yaml", "2")
				link(t, "..2", dir+"/..data")
			},
		},
		{
			"removed",
			func(t *testing.T, dir string) string { write(t, dir+"/c.yaml", "1"); return dir + "/c.yaml" },
			func(t *testing.T, dir string) {
				if err := os.Remove(dir + "/c.yaml"); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			"created",
			func(_ *testing.T, dir string) string { return dir + "/c.yaml" },
			func(t *testing.T, dir string) { write(t, dir+"/c.yaml", "") },
		},
		{
			"a file added to a folder",
			func(t *testing.T, dir string) string { mkdir(t, dir+"/policies"); return dir + "/policies" },
			func(t *testing.T, dir string) { write(t, dir+"/policies/p.yaml", "1") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			watched := c.prepare(t, dir)
			changes := watch(t, filepath.Join(dir, "other"), watched)
			c.change(t, dir)
			select {
			case <-changes:
			case <-time.After(5 * time.Second):
				t.Fatal("the change was not noticed")
			}
		})
	}
}

// TestWatchContent replaces the file atomically, so that the one change of its content is the only one
// there is to see: the same content again and a neighbour's change are none.
func TestWatchContent(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	replace := func(content string) {
		write(t, filepath.Join(dir, "tmp"), content)
		rename(t, filepath.Join(dir, "tmp"), file)
	}
	replace("1")
	changes := watch(t, file)
	replace("1")
	write(t, filepath.Join(dir, "neighbour.yaml"), "x")
	replace("2")
	<-changes
	replace("2")
	write(t, filepath.Join(dir, "neighbour.yaml"), "y")
	replace("3")
	<-changes
	if n := len(changes); n != 0 {
		t.Errorf("%d calls too many", n)
	}
}

// TestWatchOthers changes what is watched beside the file, as a configuration does that names other folders.
func TestWatchOthers(t *testing.T) {
	dir := t.TempDir()
	file, first, second := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	write(t, file, "1")
	mkdir(t, first)
	mkdir(t, second)
	w, err := config.NewWatcher(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.Also(first)
	changes := make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- w.Run(ctx, func() {
			w.Also(second)
			changes <- struct{}{}
		})
	}()
	write(t, filepath.Join(first, "p.yaml"), "1")
	<-changes
	write(t, filepath.Join(second, "p.yaml"), "1")
	<-changes
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestWatchDoesNotMissAChangeWhileThePathsAreLearned writes the file after it was read, and before the
// caller could say which other paths it names.
func TestWatchDoesNotMissAChangeWhileThePathsAreLearned(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	write(t, file, "1")
	w, err := config.NewWatcher(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	write(t, file, "2")
	w.Also(filepath.Join(dir, "policies"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	noticed := 0
	err = w.Run(ctx, func() {
		noticed++
		cancel()
	})
	if err != nil || noticed != 1 {
		t.Errorf("noticed %d changes, want 1; %v", noticed, err)
	}
}
