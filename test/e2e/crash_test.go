package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// testCrash kills the mutator as a node that loses power does. While it is away the gate says so; once
// it is back, nobody has to do anything.
func testCrash(t *testing.T, w *world) {
	own := *w
	own.mutator = own.startService(t, "mutator", w.binaries.Mutator)
	ns := w.namespace(t, registration{gate: own.startGate(t, "http/1.1", w.gates["http1"].apiserver)})
	c := w.client(t, nil)
	must(c.createPod(t, ns, pod("before")))(t)

	own.mutator.process.Kill()
	_, err := c.createPod(t, ns, pod("meanwhile"))
	status := statusOf(t, err)
	if status.Code != http.StatusInternalServerError || !strings.Contains(status.Message, "identity") {
		t.Errorf("code %d, want 500 and the name of a backend that is away:\n%s", status.Code, status.Message)
	}
	absent(t, c, ns, "meanwhile")

	w.start(t, own.mutator.binary, own.mutator.config, own.mutator.admin)
	back := time.Now()
	eventually(t, func() error {
		_, err := c.createPod(t, ns, pod("after"))
		return err
	})
	t.Logf("pods are created %s after the mutator is back", time.Since(back).Round(time.Millisecond))
}
