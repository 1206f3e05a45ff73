package review

import (
	"cmp"
	"context"
	"slices"
	"sync"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// Decisions keeps what a gate tells of the decisions that somebody here waits for, and nothing of those
// that others ask for. Unlike the gate's answers it also has those that failed. The zero value is ready;
// it is safe for concurrent use.
type Decisions struct {
	mu      sync.Mutex
	byUID   map[string]*gatewayv1.Decision
	shadows map[string][]*gatewayv1.Step // by the review's uid
}

// Record takes one decision; it is a gateway.Options.OnDecision.
func (d *Decisions) Record(_ context.Context, req *admissionv1.AdmissionRequest, decision *gatewayv1.Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, expected := d.byUID[req.GetUid()]; expected {
		d.byUID[req.GetUid()] = decision
	}
}

// RecordShadow takes what one shadow would have done; it is a gateway.Options.OnShadow.
func (d *Decisions) RecordShadow(_ context.Context, req *admissionv1.AdmissionRequest, step *gatewayv1.Step) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, expected := d.shadows[req.GetUid()]; expected {
		d.shadows[req.GetUid()] = append(known, step)
	}
}

// expect makes Record keep the decision about uid until forget is called.
func (d *Decisions) expect(uid string) (forget func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byUID == nil {
		d.byUID = map[string]*gatewayv1.Decision{}
	}
	d.byUID[uid] = nil
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.byUID, uid)
	}
}

// expectShadows makes RecordShadow keep what shadows say about uid until forget is called.
func (d *Decisions) expectShadows(uid string) (forget func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shadows == nil {
		d.shadows = map[string][]*gatewayv1.Step{}
	}
	d.shadows[uid] = nil
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.shadows, uid)
	}
}

// decision returns the decision about uid, nil until it is known.
func (d *Decisions) decision(uid string) *gatewayv1.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byUID[uid]
}

// shadowsOf returns what shadows have said about uid so far, by their names.
func (d *Decisions) shadowsOf(uid string) []*gatewayv1.Step {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(slices.Values(d.shadows[uid]), func(a, b *gatewayv1.Step) int {
		return cmp.Compare(a.GetBackend(), b.GetBackend())
	})
}
