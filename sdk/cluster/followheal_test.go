package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// A watch that begins with what there is heals only when it has told that: until then what is known is what was
// before the right was taken away, or the kind.
func TestHealsAfterInitialEvents(t *testing.T) {
	source := apiwatch.NewFake()
	o := &liveObjects{
		mapping: &meta.RESTMapping{},
		client: func(schema.GroupVersionResource) resourceClient {
			return resourceClient{watch: func(context.Context, metav1.ListOptions) (apiwatch.Interface, error) { return source, nil }}
		},
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "limits"}, "", errors.New("no right"))
	_ = o.failed(forbidden)
	since, _ := o.lost()
	yes := true
	w, err := o.watch(t.Context(), metav1.ListOptions{SendInitialEvents: &yes})
	if err != nil {
		t.Fatal(err)
	}
	bookmark := func(annotations map[string]string) *unstructured.Unstructured {
		b := &unstructured.Unstructured{Object: map[string]any{}}
		b.SetAnnotations(annotations)
		return b
	}
	for _, event := range []apiwatch.Event{
		{Type: apiwatch.Added, Object: bookmark(map[string]string{metav1.InitialEventsAnnotationKey: "true"})},
		{Type: apiwatch.Bookmark, Object: bookmark(nil)},
	} {
		go source.Action(event.Type, event.Object)
		<-w.ResultChan()
		time.Sleep(10 * time.Millisecond)
		if now, err := o.lost(); err == nil || !now.Equal(since) {
			t.Fatalf("healed by %s: since %s, %v", event.Type, now, err)
		}
	}
	go source.Action(apiwatch.Bookmark, bookmark(map[string]string{metav1.InitialEventsAnnotationKey: "true"}))
	<-w.ResultChan()
	for deadline := time.Now().Add(10 * time.Second); o.trouble.Load() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not healed")
		}
	}
	w.Stop()
	if _, open := <-w.ResultChan(); open || !source.IsStopped() {
		t.Error("not stopped")
	}
}

// What cannot be heard of for a while is not current, and is ready.
func TestCurrent(t *testing.T) {
	live := &liveObjects{}
	o := &Objects{source: readySource{live}, release: func() {}}
	if err := o.Current(0); err != nil {
		t.Error(err)
	}
	_ = live.failed(errors.New("connection refused"))
	time.Sleep(2 * time.Millisecond)
	_ = live.failed(errors.New("connection refused still"))
	if err := o.Current(time.Minute); err != nil {
		t.Errorf("no patience: %v", err)
	}
	if err := o.Current(time.Millisecond); err == nil || o.Ready() != nil {
		t.Errorf("Current: %v, Ready: %v", err, o.Ready())
	}
}

// readySource was listed.
type readySource struct{ *liveObjects }

func (readySource) ready() error { return nil }
