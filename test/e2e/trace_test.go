package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// testTrace creates a pod under a trace of its own and follows each service's work up to the very call
// in kube-apiserver that caused it.
func testTrace(t *testing.T, w *world, g *gate) {
	ns := w.namespace(t, registration{gate: g})
	id := newTraceID(t)
	// kube-apiserver continues the trace of an administrator; anybody else gets a trace of its own.
	c := w.client(t, map[string]string{"Traceparent": "00-" + id + "-00f067aa0ba902b7-01"})
	must(c.createPod(t, ns, pod("traced")))(t)

	ways := []struct{ service, call string }{
		{"mutator", "Call mutating webhook"},
		{"validator", "Call validating webhook"},
	}
	eventually(t, func() error {
		spans := w.collector.Trace(id)
		for _, way := range ways {
			if err := joined(spans, way.service, way.call); err != nil {
				return fmt.Errorf("%w\nspans of trace %s:\n%s", err, id, describe(spans))
			}
		}
		return nil
	})
}

// joined tells whether some span of service leads up, parent by parent, through a span of the gate to
// kube-apiserver's span of that name.
func joined(spans []harness.Span, service, call string) error {
	byID := map[string]harness.Span{}
	for _, s := range spans {
		byID[s.SpanID] = s
	}
	for _, s := range spans {
		if !strings.Contains(s.Service, service) {
			continue
		}
		throughGate := false
		for up, ok := byID[s.ParentID]; ok; up, ok = byID[up.ParentID] {
			throughGate = throughGate || strings.Contains(up.Service, "gateway")
			if throughGate && up.Name == call && strings.Contains(up.Service, "apiserver") {
				return nil
			}
		}
	}
	return fmt.Errorf("no span of the %s leads through the gate up to %q", service, call)
}

func describe(spans []harness.Span) string {
	lines := make([]string, 0, len(spans))
	for _, s := range spans {
		lines = append(lines, fmt.Sprintf("%-24s %-40s %s <- %s", s.Service, s.Name, s.ParentID, s.SpanID))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func newTraceID(t *testing.T) string {
	t.Helper()
	b := make([]byte, 16)
	must(rand.Read(b))(t)
	return hex.EncodeToString(b)
}
