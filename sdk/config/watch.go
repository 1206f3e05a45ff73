package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the files must rest before they are looked at: editors and kubelet write in
	// several steps.
	settle = 100 * time.Millisecond
	// poll is how often the files are looked at without an event: network file systems send none, nor
	// does a link whose target is in another folder.
	poll = 10 * time.Second
)

// Watch calls onChange after the content at path has changed, until ctx is done; it then returns nil.
// path is a file, or a folder of which the files directly in it count. A change that was made before the
// call is not seen; NewWatcher closes that gap.
func Watch(ctx context.Context, path string, onChange func()) error {
	w, err := NewWatcher(path)
	if err != nil {
		return err
	}
	return w.Run(ctx, onChange)
}

// Watcher notices changes of files by their content, whichever way they are replaced: written in place,
// renamed over, or through the symbolic links that kubelet swaps in a ConfigMap volume.
type Watcher struct {
	paths  []string
	seen   [sha256.Size]byte
	events *fsnotify.Watcher
}

// NewWatcher returns a Watcher for changes from now on. Run must be called: it frees the watch. Call
// NewWatcher before reading the files, so that no change falls between the two.
func NewWatcher(paths ...string) (*Watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", strings.Join(paths, ", "), err)
	}
	for _, path := range paths {
		folder := path
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			folder = filepath.Dir(path) // a watch on the file itself ends when it is replaced
		}
		if err := events.Add(folder); err != nil {
			_ = events.Close() // the first error says more
			return nil, fmt.Errorf("watching %s: %w", folder, err)
		}
	}
	return &Watcher{paths: paths, seen: fingerprint(paths), events: events}, nil
}

// Run calls onChange after each change, one call at a time, until ctx is done; it then returns nil.
func (w *Watcher) Run(ctx context.Context, onChange func()) error {
	defer func() { _ = w.events.Close() }() // nothing is lost with it
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	settled := time.NewTimer(poll)
	defer settled.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.events.Events:
			settled.Reset(settle)
			continue
		case _ = <-w.events.Errors: // an overflow loses events: look, whatever they were
		case <-settled.C:
		case <-ticker.C:
		}
		if now := fingerprint(w.paths); now != w.seen {
			w.seen = now
			onChange()
		}
	}
}

// fingerprint is a hash over the names and contents of the files; what cannot be read counts as absent.
func fingerprint(paths []string) [sha256.Size]byte {
	hash := sha256.New()
	for _, path := range paths {
		files := []string{path}
		if entries, err := os.ReadDir(path); err == nil {
			files = nil
			for _, e := range entries {
				if !strings.HasPrefix(e.Name(), "..") { // kubelet's own links, the content is seen beside them
					files = append(files, filepath.Join(path, e.Name()))
				}
			}
		}
		for _, file := range files {
			add(hash, file)
		}
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// add ignores errors of writing: a hash has none.
func add(hash io.Writer, file string) {
	content, err := os.ReadFile(file)
	_, _ = fmt.Fprintf(hash, "%q %t %d\n", file, err == nil, len(content))
	_, _ = hash.Write(content)
}
