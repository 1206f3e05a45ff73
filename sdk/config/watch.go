package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// Watcher notices changes of files by their content, whichever way they are replaced: written in place,
// renamed over, or through the symbolic links that kubelet swaps in a ConfigMap volume.
type Watcher struct {
	file       string
	paths      []string // beside file
	seenFile   [sha256.Size]byte
	seenOthers [sha256.Size]byte // of paths
	events     *fsnotify.Watcher
}

// NewWatcher returns a Watcher of the changes of a file from now on. Call it before reading the file, so
// that no change falls between the two, and close it in the end.
func NewWatcher(file string) (*Watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", file, err)
	}
	w := &Watcher{file: file, events: events}
	w.listen(file)
	w.seenFile = fingerprint([]string{file})
	w.Also()
	return w, nil
}

// Also makes the Watcher watch paths beside its file, instead of those it was given before. A path is a
// file, or a folder of which the files directly in it count; one that does not exist yet counts as changed
// when it appears. Changes of the paths count from now on, those of the file as before: the caller has read
// it to learn the paths, and it may have changed since. Also must not be called while Run is running, except
// from onChange.
func (w *Watcher) Also(paths ...string) {
	w.paths = slices.Clone(paths)
	for _, path := range w.paths {
		w.listen(path)
	}
	w.seenOthers = fingerprint(w.paths)
}

// listen asks for the events of path. Without them its changes are found by polling.
func (w *Watcher) listen(path string) {
	folder := path
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		folder = filepath.Dir(path) // a watch on the file itself ends when it is replaced
	}
	_ = w.events.Add(folder)
}

// Close frees the watch. It may be called more than once, and after Run.
func (w *Watcher) Close() { _ = w.events.Close() } // nothing is lost with it

// Run calls onChange after each change, one call at a time, until ctx is done; it then returns nil.
func (w *Watcher) Run(ctx context.Context, onChange func()) error {
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
		case <-w.events.Errors: //nolint:errcheck // an overflow loses events: look, whatever they were
		case <-settled.C:
		case <-ticker.C:
		}
		file, others := fingerprint([]string{w.file}), fingerprint(w.paths)
		if file != w.seenFile || others != w.seenOthers {
			w.seenFile, w.seenOthers = file, others
			onChange()
		}
	}
}

// fingerprint is a hash over the names and contents of the files. What cannot be read counts as absent, and so does
// what is no regular file: who reads a pipe waits, and takes away what the program is to read.
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
	var content []byte
	info, err := os.Stat(file)
	switch {
	case err != nil:
	case info.Mode().IsRegular():
		content, err = os.ReadFile(file)
	default:
		err = os.ErrInvalid
	}
	_, _ = fmt.Fprintf(hash, "%q %t %d\n", file, err == nil, len(content))
	_, _ = hash.Write(content)
}
