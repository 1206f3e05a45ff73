package notes_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/gatefold/gatefold/cli/internal/notes"
)

// TestLogger: several services speak at once, and who hears them need not take care.
func TestLogger(t *testing.T) {
	var heard []string
	logger := notes.Logger(func(note string) { heard = append(heard, note) })
	var speaking sync.WaitGroup
	for _, service := range []string{"mutator", "validator"} {
		speaking.Go(func() {
			own := logger.With("service", service)
			own.Info("about the policies", "note", "no warning")
			own.Warn("about the policies", "note", service+" has no bindings")
			own.Warn("not ready", "reason", "it has just begun")
		})
	}
	speaking.Wait()
	if slices.Sort(heard); !slices.Equal(heard, []string{"mutator has no bindings", "validator has no bindings"}) {
		t.Errorf("heard %q", heard)
	}
}
