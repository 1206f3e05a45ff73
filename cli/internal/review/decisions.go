package review

import (
	"context"
	"sync"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// Decisions keeps what a gate tells of the decisions that somebody here waits for, and nothing of those
// that others ask for. Unlike the gate's answers it also has those that failed. The zero value is ready;
// it is safe for concurrent use.
type Decisions struct {
	mu    sync.Mutex
	byUID map[string]*gatewayv1.Decision
}

// Record takes one decision; it is a gateway.Options.OnDecision.
func (d *Decisions) Record(_ context.Context, req *admissionv1.AdmissionRequest, decision *gatewayv1.Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, expected := d.byUID[req.GetUid()]; expected {
		d.byUID[req.GetUid()] = decision
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

// steps returns the backends' parts in the decision about uid, once it is known.
func (d *Decisions) steps(uid string) []*gatewayv1.Step {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byUID[uid].GetSteps()
}
