package claim_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatefold/gatefold/validator-svc/internal/claim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func question(holder string) claim.Question {
	return claim.Question{Place: "p", Holder: holder, Max: 1}
}

func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b claim.Book
		only := question("a")
		only.Only = true
		ask := func(q claim.Question, want claim.Answer, wait time.Duration) {
			t.Helper()
			start := time.Now()
			if diff := cmp.Diff(want, b.Ask(t.Context(), q)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if waited := time.Since(start); waited != wait {
				t.Errorf("waited %s, want %s", waited, wait)
			}
		}
		yes, claimed, shown := claim.Answer{Allowed: true}, claim.Answer{Others: 1, Claimed: true}, claim.Answer{Others: 1}
		ask(only, yes, 0)
		ask(question("b"), yes, 0)               // what only asks claims nothing
		ask(question("b"), yes, 0)               // it is asked again, as kube-apiserver does
		ask(question("a"), claimed, time.Second) // and b is not shown
		time.AfterFunc(time.Second/2, func() { b.Show("b", "p", "") })
		ask(question("a"), shown, time.Second/2)
		ask(question("a"), shown, 0)
		b.Show("b", "elsewhere", "")
		ask(question("a"), yes, 0)
		ask(question("c"), claimed, time.Second)
		time.Sleep(claim.DefaultLife - 1500*time.Millisecond) // nothing has come of a
		ask(question("c"), yes, time.Second)
		b.Show("c", "p", "")
		b.Show("c", "", "")
		b.Show("c", "", "")
		ask(question("d"), yes, 0)

		// The claim of a place survives that the holder is shown where it was before.
		b.Show("d", "elsewhere", "")
		ask(question("e"), claimed, time.Second)
		if diff := cmp.Diff([]string{"d"}, b.Holders("p")); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		if b.Ask(ctx, question("e")); time.Since(start) != 100*time.Millisecond {
			t.Errorf("waited %s of 300 ms, which leaves too little or wastes it", time.Since(start))
		}
	})
}

func TestDrop(t *testing.T) {
	var b claim.Book
	b.Ask(t.Context(), question("a"))
	time.AfterFunc(time.Millisecond, func() { b.Drop(question("a")) })
	if !b.Ask(t.Context(), question("b")).Allowed {
		t.Error("a claim that was given up counts")
	}
	b.Show("b", "p", "")
	if b.Drop(question("b")); len(b.Holders("p")) != 1 {
		t.Error("who is shown is gone with its claim")
	}
}

// What goes and comes back at once keeps its place, though the watch is behind: it shows the holder as it was, and
// then that it is gone, and then that it is back.
func TestBackAtOnce(t *testing.T) {
	for name, late := range map[string][]string{"deleted": {""}, "changed, then deleted": {"p", ""}, "moved": {"elsewhere"}} {
		b := claim.Book{Wait: time.Nanosecond}
		b.Show("a", "p", "")
		if !b.Ask(t.Context(), question("a")).Allowed { // deleted meanwhile, and created again
			t.Fatal("it stands in its own way")
		}
		for _, at := range late {
			b.Show("a", at, "")
			if b.Ask(t.Context(), question("b")).Allowed {
				t.Errorf("%s: its place is given away before it is back", name)
			}
		}
		b.Show("a", "p", "")
		if diff := cmp.Diff([]string{"a"}, b.Holders("p")); diff != "" {
			t.Errorf("holders (-want +got):\n%s", diff)
		}
		b.Show("a", "", "")
		if !b.Ask(t.Context(), question("b")).Allowed {
			t.Errorf("%s: it keeps its place when it is gone for good", name)
		}
	}
}

// What is created, deleted and created again before the watch has shown any of it keeps its place.
func TestTwiceAtOnce(t *testing.T) {
	b := claim.Book{Wait: time.Nanosecond}
	for _, uid := range []string{"1", "2"} {
		q := question("a")
		q.UID, q.By = uid, uid
		if !b.Ask(t.Context(), q).Allowed {
			t.Fatal("it stands in its own way")
		}
	}
	for _, at := range []string{"p", ""} { // the first one comes and goes
		b.Show("a", at, "1")
		if b.Ask(t.Context(), question("b")).Allowed {
			t.Errorf("shown at %q: its place is given away before it is back", at)
		}
	}
	b.Show("a", "p", "2")
	b.Show("a", "", "2")
	if !b.Ask(t.Context(), question("b")).Allowed {
		t.Error("it keeps its place when it is gone for good")
	}
}

// Who gives up a claim takes it from nobody else who asked for the same holder.
func TestDropOwn(t *testing.T) {
	for name, order := range map[string][2]string{"the first": {"1", "2"}, "the second": {"2", "1"}} {
		b := claim.Book{Wait: time.Nanosecond}
		ask := func(by string) claim.Question {
			q := question("a")
			q.By = by
			b.Ask(t.Context(), q)
			return q
		}
		ask(order[0])
		ask(order[1])
		b.Drop(ask("1"))
		if b.Ask(t.Context(), question("b")).Allowed {
			t.Errorf("%s gives up what the other one was allowed", name)
		}
	}
}

// Whatever is asked and shown at once, there are never more than may be, unless it came about otherwise.
func TestNeverTooMany(t *testing.T) {
	const limit, holders = 7, 300
	b := claim.Book{Wait: time.Nanosecond}
	var allowed atomic.Int64
	var all sync.WaitGroup
	for i := range holders {
		all.Go(func() {
			holder := fmt.Sprint(i)
			if !b.Ask(t.Context(), claim.Question{Place: "p", Holder: holder, Max: limit}).Allowed {
				return
			}
			allowed.Add(1)
			if rand.IntN(2) == 0 {
				b.Show(holder, "p", "")
			}
		})
	}
	all.Wait()
	if allowed.Load() != limit || len(b.Holders("p")) != limit {
		t.Errorf("%d allowed, %d there, want %d", allowed.Load(), len(b.Holders("p")), limit)
	}
}

// What is not there any more is not remembered.
func TestForgets(t *testing.T) {
	now := time.Now()
	b := claim.Book{Now: func() time.Time { return now }}
	for i := range 100 {
		b.Ask(t.Context(), claim.Question{Place: fmt.Sprint(i), Holder: "h", Max: 1})
	}
	if len(b.Holders("7")) != 1 {
		t.Error("no claim")
	}
	now = now.Add(claim.DefaultLife)
	b.Ask(t.Context(), question("h"))
	if got := b.Holders("7"); got != nil {
		t.Errorf("still there: %v", got)
	}
}

func BenchmarkAsk(b *testing.B) {
	var book claim.Book
	for i := range 10_000 {
		book.Show(fmt.Sprint("shop/", i), "shop", "")
	}
	q := claim.Question{Place: "shop", Holder: "shop/new", Max: 10_001}
	b.ReportAllocs()
	for b.Loop() {
		if !book.Ask(b.Context(), q).Allowed {
			b.Fatal("no room")
		}
	}
}
