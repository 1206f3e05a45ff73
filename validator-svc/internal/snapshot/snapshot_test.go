package snapshot

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/validator-svc/internal/requesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kube-apiserver may ask again: the answer is the same.
func TestAskedAgain(t *testing.T) {
	v := validator(t, false)
	v.rules[classKinds(Config{})[0].kind].drivers.Wait = time.Millisecond
	for _, want := range []struct{ name, message string }{
		{name: "one"},
		{name: "one"},
		{"two", "default snapshot class: one already exists for driver: test.csi.io (allowed a moment ago; if it does not appear, try again)"},
		{"two", "default snapshot class: one already exists for driver: test.csi.io (allowed a moment ago; if it does not appear, try again)"},
	} {
		verdict, err := v.Validate(t.Context(), requesttest.Of(t, defaultClass(want.name), nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := requesttest.Message(verdict); got != want.message {
			t.Errorf("%s\nwant: %s\ngot:  %s", want.name, want.message, got)
		}
	}
}

// Of many classes that come at once one is allowed, and what is only asked for takes nobody's place.
func TestAtOnce(t *testing.T) {
	v := validator(t, false)
	v.rules[classKinds(Config{})[0].kind].drivers.Wait = time.Millisecond
	dry := requesttest.Of(t, defaultClass("dry"), nil)
	dry.DryRun = true
	if verdict, err := v.Validate(t.Context(), dry); err != nil || requesttest.Message(verdict) != "" {
		t.Fatal(verdict, err)
	}
	var (
		all     sync.WaitGroup
		mu      sync.Mutex
		allowed []string
		denied  []string
	)
	for i := range 50 {
		all.Go(func() {
			name := fmt.Sprint("class-", i)
			verdict, err := v.Validate(t.Context(), requesttest.Of(t, defaultClass(name), nil))
			mu.Lock()
			defer mu.Unlock()
			if text := requesttest.Message(verdict); err == nil && text == "" {
				allowed = append(allowed, name)
			} else {
				denied = append(denied, fmt.Sprint(text, err))
			}
		})
	}
	all.Wait()
	if len(allowed) != 1 {
		t.Fatalf("allowed: %v", allowed)
	}
	want := "default snapshot class: " + allowed[0] + " already exists for driver: test.csi.io (allowed a moment ago; if it does not appear, try again)<nil>"
	for _, got := range denied {
		if got != want {
			t.Errorf("want: %s\ngot:  %s", want, got)
		}
	}
}

func TestNotKnownYet(t *testing.T) {
	c, err := cluster.New(fake.NewClientset(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{}, c); err == nil {
		t.Error("nothing to follow with, and no error")
	}
	v := validator(t, false)
	v.Close()
	verdict, err := v.Validate(t.Context(), requesttest.Of(t, defaultClass("a"), nil))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("%v, %v; want an error", verdict, err)
	}
	bad := requesttest.Of(t, defaultClass("a"), nil)
	bad.Object = []byte(`{"metadata":{"annotations":{"a":1}}}`)
	if verdict, err := v.Validate(t.Context(), bad); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v, %v; want an error", verdict, err)
	}
}

func FuzzValidate(f *testing.F) {
	for _, text := range []string{`{"metadata":{"name":"a"},"driver":"d"}`, `{}`, `[]`, `{"metadata":{"annotations":{"snapshot.storage.kubernetes.io/is-default-class":"true"}}}`} {
		f.Add([]byte(text), []byte(text))
	}
	f.Fuzz(func(t *testing.T, object, old []byte) {
		v := validator(t, false)
		q := requesttest.Of(t, defaultClass("a"), defaultClass("a"))
		q.Object, q.OldObject = object, old
		verdict, err := v.Validate(t.Context(), q)
		var decoded class
		if invalid := errors.Join(q.Decode(&decoded), q.DecodeOld(&decoded)); (err != nil) != (invalid != nil) || requesttest.Message(verdict) != "" {
			t.Errorf("%v, %v; decoding: %v", verdict, err, invalid)
		}
	})
}

func defaultClass(name string) map[string]any {
	return map[string]any{
		"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "driver": "test.csi.io",
		"metadata": map[string]any{"name": name, "annotations": map[string]any{"snapshot.storage.kubernetes.io/is-default-class": "true"}},
	}
}

func validator(t *testing.T, groups bool, objects ...map[string]any) *Validator {
	t.Helper()
	var all []runtime.Object
	for _, o := range objects {
		all = append(all, &unstructured.Unstructured{Object: o})
	}
	c, err := cluster.FromObjects(all...)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{GroupClasses: groups}, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}
