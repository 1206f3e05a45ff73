// Package claim counts who is where, and who will be there in a moment.
//
// A validator that allows an object sees it some milliseconds later in its informer. Whoever asks meanwhile
// must find it counted: so what is allowed is claimed, until it is shown or a while has passed in which it was
// not, as when somebody else has refused it. The claims of other processes are not known.
package claim

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultLife is how long a claim counts that nothing has come of. kube-apiserver gives a webhook 30 s at
	// most, but those that come later in the chain seldom take a second, and watches do not lag for longer.
	DefaultLife = 10 * time.Second
	// DefaultWait is how long a question waits that only claims speak against. It leaves time to answer in the
	// 2 s that some registrations have.
	DefaultWait = time.Second
	// margin is what is left of the caller's deadline to answer in.
	margin = 200 * time.Millisecond
)

// Book counts holders by place: the objects of a namespace, the classes of a driver. It is safe for concurrent
// use; the zero value is an empty one.
type Book struct {
	// Life is how long a claim counts. Default: DefaultLife.
	Life time.Duration
	// Wait is how long Ask waits. Default: DefaultWait.
	Wait time.Duration
	// Now tells the time. Default: time.Now.
	Now func() time.Time

	mu      sync.Mutex
	where   map[string]string // where a holder was shown
	places  map[string]*place
	changed chan struct{} // closed when something was shown
	swept   time.Time
}

// place is who is shown there, and who is claimed to be, shown or not: what is deleted and created again at once
// is still shown for a moment, and then not.
type place struct {
	shown  map[string]struct{}
	claims map[string]held
}

// held is a claim.
type held struct {
	until  time.Time
	uid    string
	by     string
	shared bool // others have asked as well
}

// claimed are those who are claimed to be there at a time, and not shown.
func (p *place) claimed(now time.Time) []string {
	var all []string
	for holder, c := range p.claims {
		if _, shown := p.shown[holder]; !shown && now.Before(c.until) {
			all = append(all, holder)
		}
	}
	return all
}

// Answer is what Ask finds.
type Answer struct {
	// Allowed tells that there is room.
	Allowed bool
	// Others is how many others are counted; more than Max if they have come about otherwise.
	Others int
	// Claimed tells that without those that are only claimed there would have been room.
	Claimed bool
}

// Question is whether there is room for a holder.
type Question struct {
	Place, Holder string
	// UID is the object's that the holder will be; empty if it is not known.
	UID string
	// By is the request that asks, for Drop.
	By string
	// Max is how many there may be.
	Max int
	// Only asks and claims nothing.
	Only bool
}

// Show says where a holder is, as the object of that uid. An empty place: nowhere, any more. A claim ends when its
// holder is shown where it was not before, unless as another object than it was made for: what is shown may be older
// than the claim.
func (b *Book) Show(holder, at, uid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.where[holder]
	if before == at {
		return
	}
	if before != "" {
		delete(b.where, holder)
		p := b.places[before]
		delete(p.shown, holder)
		b.dropIfEmpty(before, p)
	}
	if at != "" {
		if b.where == nil {
			b.where = map[string]string{}
		}
		b.where[holder] = at
		p := b.place(at)
		p.shown[holder] = struct{}{}
		if c := p.claims[holder]; c.uid == uid || c.uid == "" || uid == "" {
			delete(p.claims, holder)
		}
	}
	b.wake()
}

// wake lets those who wait look again. The caller holds the lock.
func (b *Book) wake() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// Ask answers q, and claims the place if there is room. A holder that is there already does not stand in its own
// way. Where only claims speak against it, it waits for what becomes of them, for Wait at most and not beyond ctx.
func (b *Book) Ask(ctx context.Context, q Question) Answer {
	answer, changed := b.ask(q)
	if answer.Allowed || !answer.Claimed {
		return answer
	}
	wait := cmp.Or(b.Wait, DefaultWait)
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-margin)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for !answer.Allowed && answer.Claimed {
		select {
		case <-changed:
			answer, changed = b.ask(q)
		case <-timer.C:
			answer, _ = b.ask(q)
			return answer
		case <-ctx.Done():
			return answer
		}
	}
	return answer
}

// ask is Ask without waiting. What it returns besides is closed at the next change.
func (b *Book) ask(q Question) (Answer, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	now := b.now()
	b.sweep(now)
	p := b.places[q.Place]
	if p == nil {
		p = &place{}
	}
	shown, claimed := len(p.shown), 0
	if _, there := p.shown[q.Holder]; there {
		shown--
	}
	for _, holder := range p.claimed(now) {
		if holder != q.Holder {
			claimed++
		}
	}
	answer := Answer{Others: shown + claimed}
	answer.Allowed = answer.Others < q.Max
	answer.Claimed = shown < q.Max && !answer.Allowed
	if answer.Allowed && !q.Only {
		b.claim(q, now)
	}
	return answer, b.changed
}

// claim claims the place of an answer to q that allows. The caller holds the lock.
func (b *Book) claim(q Question, now time.Time) {
	p := b.place(q.Place)
	c := held{until: now.Add(cmp.Or(b.Life, DefaultLife)), uid: q.UID, by: q.By}
	if before, there := p.claims[q.Holder]; there && now.Before(before.until) {
		c.shared = before.shared || before.by != q.By
	}
	p.claims[q.Holder] = c
}

// Drop gives up the claim that Ask made for q: it has been refused after all. One that another request asked for as
// well stays.
func (b *Book) Drop(q Question) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.places[q.Place]
	if p == nil {
		return
	}
	if c, there := p.claims[q.Holder]; there && c.by == q.By && !c.shared {
		delete(p.claims, q.Holder)
		b.dropIfEmpty(q.Place, p)
		b.wake()
	}
}

// Holders returns who is counted at a place, sorted: first those that were shown, then those that are claimed.
func (b *Book) Holders(at string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.places[at]
	if p == nil {
		return nil
	}
	return append(slices.Sorted(maps.Keys(p.shown)), slices.Sorted(slices.Values(p.claimed(b.now())))...)
}

// place returns the place of this name, which it makes if need be.
func (b *Book) place(name string) *place {
	if b.places == nil {
		b.places = map[string]*place{}
	}
	p := b.places[name]
	if p == nil {
		p = &place{shown: map[string]struct{}{}, claims: map[string]held{}}
		b.places[name] = p
	}
	return p
}

func (b *Book) dropIfEmpty(name string, p *place) {
	if len(p.shown) == 0 && len(p.claims) == 0 {
		delete(b.places, name)
	}
}

// sweep drops old claims of places that nobody asks for any more, now and then.
func (b *Book) sweep(now time.Time) {
	if now.Sub(b.swept) < cmp.Or(b.Life, DefaultLife) {
		return
	}
	b.swept = now
	for name, p := range b.places {
		for holder, c := range p.claims {
			if !now.Before(c.until) {
				delete(p.claims, holder)
			}
		}
		b.dropIfEmpty(name, p)
	}
}

func (b *Book) now() time.Time {
	if b.Now == nil {
		return time.Now()
	}
	return b.Now()
}
