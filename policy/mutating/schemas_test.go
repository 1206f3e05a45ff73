package mutating

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/openapi"
)

// openAPI is an apiserver that publishes one version of a group, of whose schema it sends nothing before answer.
type openAPI struct {
	asked  atomic.Int32
	answer chan struct{}
}

func (o *openAPI) OpenAPIV3() openapi.Client { return o }

func (o *openAPI) Paths() (map[string]openapi.GroupVersion, error) {
	return map[string]openapi.GroupVersion{"apis/example.com/v1": o}, nil
}

func (o *openAPI) Schema(string) ([]byte, error) {
	o.asked.Add(1)
	<-o.answer
	return nil, errors.New("not now")
}

func (o *openAPI) ServerRelativeURL() string { return "/openapi/v3/apis/example.com/v1" }

// Requests that come at once ask for a schema once: it is megabytes, and an apiserver that is slow gets no faster by
// being asked more.
func TestSchemaIsAskedForOnce(t *testing.T) {
	apiserver := &openAPI{answer: make(chan struct{})}
	schemas := NewLiveSchemas(apiserver)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = schemas.Run(ctx) })
	defer running.Wait()
	defer cancel()

	kind := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	for deadline := time.Now().Add(10 * time.Second); apiserver.asked.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the schema is never asked for")
		}
		schemas.unknown.Remove(kind)
		running.Go(func() { schemas.GetTypeConverter(kind) }) // comes back at once as long as Run has not seen the paths
	}
	for range 20 {
		schemas.unknown.Remove(kind)
		running.Go(func() { schemas.GetTypeConverter(kind) })
	}
	time.Sleep(50 * time.Millisecond)
	close(apiserver.answer)
	if n := apiserver.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
