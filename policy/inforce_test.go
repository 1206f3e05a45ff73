package policy_test

import (
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatefold/gatefold/policy"
)

// fakeSet is a set of one policy.
type fakeSet struct {
	name   string
	ready  atomic.Bool
	closed atomic.Bool
}

func (s *fakeSet) Ready() error {
	if !s.ready.Load() {
		return errors.New("not listed")
	}
	return nil
}
func (s *fakeSet) Close()             { s.closed.Store(true) }
func (s *fakeSet) Notes() []string    { return nil }
func (s *fakeSet) Policies() []string { return []string{s.name} }

// A set stays in force until the params of the next one were listed, and is closed then; who had asked it meanwhile
// is answered by the next one.
func TestInForce(t *testing.T) {
	var f policy.InForce[*fakeSet]
	f.Close() // there is none
	logger := slog.New(slog.DiscardHandler)
	first, second := &fakeSet{name: "first"}, &fakeSet{name: "second"}
	f.Use(t.Context(), first, logger) // which waits for nothing
	name := func(s *fakeSet) (string, error) { return s.name, nil }

	used := make(chan struct{})
	go func() {
		f.Use(t.Context(), second, logger)
		close(used)
	}()
	time.Sleep(100 * time.Millisecond)
	if got, err := policy.Ask(&f, name); got != "first" || err != nil || first.closed.Load() {
		t.Errorf("while the params of the second are not listed: %q, %v", got, err)
	}
	var asked []string
	got, err := policy.Ask(&f, func(s *fakeSet) (string, error) {
		asked = append(asked, s.name)
		if s == first {
			second.ready.Store(true)
			<-used
			return "", errors.New("closed")
		}
		return s.name, nil
	})
	if got != "second" || err != nil || !slices.Equal(asked, []string{"first", "second"}) || !first.closed.Load() {
		t.Errorf("%q, %v, asked %v", got, err, asked)
	}
	f.Close()
	if !second.closed.Load() {
		t.Error("the set in force was not closed")
	}
}
