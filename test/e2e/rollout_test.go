package e2e

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/test/internal/harness"
)

const (
	rollouts = 3
	// propagation is how long it takes until no new connection reaches a replica that was told to stop.
	propagation = 500 * time.Millisecond
)

// testRollout replaces the gate again and again, over kept-alive HTTP/1.1 connections, while pods are
// created: kube-apiserver repeats no call whose connection breaks, so each one would be a failed create.
func testRollout(t *testing.T, w *world) {
	old := w.startGate(t, "http/1.1", w.gates["http1"].apiserver)
	balancer := must(harness.StartBalancer(t.Context(), old.address))(t)
	t.Cleanup(balancer.Stop)
	ns := w.namespace(t, registration{gate: &gate{address: balancer.Address}})

	stop, created := w.load(t, ns)
	for range rollouts {
		next := w.startGate(t, "http/1.1", old.apiserver)
		stopped := make(chan error, 1)
		go func() { stopped <- old.process.Stop() }()
		time.Sleep(propagation) // the old gate goes on serving new connections meanwhile
		balancer.Switch(next.address)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		old = next
	}
	stop()
	if created.Load() < 20*rollouts {
		t.Errorf("only %d pods were created: that is no load to speak of", created.Load())
	}
	t.Logf("%d pods created during %d rollouts", created.Load(), rollouts)
}

// load creates pods, without storing them, until stop is called. Every failure fails the test.
func (w *world) load(t *testing.T, ns string) (stop func(), created *atomic.Int64) {
	t.Helper()
	created = new(atomic.Int64)
	done := make(chan struct{})
	var all sync.WaitGroup
	c := w.client(t, nil)
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, err := c.CoreV1().Pods(ns).Create(t.Context(), pod("load"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					t.Errorf("after %d pods: %v", created.Load(), err)
					return
				}
				created.Add(1)
			}
		})
	}
	return func() { close(done); all.Wait() }, created
}
