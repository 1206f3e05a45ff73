package mutating

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/client-go/discovery"
)

// Schemas knows the schemas of a cluster's kinds. A patch.TypeConverterManager of k8s.io/apiserver is one.
type Schemas interface {
	// GetTypeConverter returns what reads objects of the kind by its schema; nil when the schema is not known, as
	// because it could not be asked for. It may take its time. It must be safe for concurrent use.
	GetTypeConverter(gvk schema.GroupVersionKind) managedfields.TypeConverter
}

// unknownTTL is how long a schema that is not known is not looked for again: upstream's manager writes a line to the
// standard error each time. The manager itself sees a new one after five seconds.
const unknownTTL = time.Second

// maxUnknown is how many kinds without a schema are remembered.
const maxUnknown = 256

// LiveSchemas are the schemas that an apiserver publishes, which knows those of custom resources. It is safe for
// concurrent use.
type LiveSchemas struct {
	manager patch.TypeConverterManager
	unknown *cache.LRUExpireCache // by kind
	asking  singleflight.Group    // by group and version: the manager itself asks anew for each request that comes meanwhile
}

// NewLiveSchemas returns the schemas that client asks for, each when it is first needed. None is known before Run
// runs.
func NewLiveSchemas(client discovery.OpenAPIV3SchemaInterface) *LiveSchemas {
	return &LiveSchemas{
		manager: patch.NewTypeConverterManager(nil, client.OpenAPIV3()),
		unknown: cache.NewLRUExpireCache(maxUnknown),
	}
}

// Run looks every few seconds which schemas have changed, until ctx is done, and then returns nil.
func (s *LiveSchemas) Run(ctx context.Context) error {
	s.manager.Run(ctx)
	return nil
}

// GetTypeConverter implements Schemas.
func (s *LiveSchemas) GetTypeConverter(gvk schema.GroupVersionKind) managedfields.TypeConverter {
	if _, ok := s.unknown.Get(gvk); ok {
		return nil
	}
	// The answer is for the group and version as a whole, which is what has one schema. There is no error.
	answer, _, _ := s.asking.Do(gvk.GroupVersion().String(), func() (any, error) { return s.manager.GetTypeConverter(gvk), nil })
	converter, ok := answer.(managedfields.TypeConverter)
	if !ok {
		s.unknown.Add(gvk, nil, unknownTTL)
		return nil
	}
	return converter
}

// converter returns what merges objects of the kind. The error says that this cannot be told now.
func (k *kind) converter(ctx context.Context) (managedfields.TypeConverter, error) {
	if k.merges != nil {
		return k.merges, nil
	}
	answer := make(chan managedfields.TypeConverter, 1)
	// Upstream's manager asks the apiserver without regard to the time that a request has.
	go func() { answer <- k.schemas.GetTypeConverter(k.gvk) }()
	select {
	case k.merges = <-answer:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if k.merges == nil {
		return nil, fmt.Errorf("the apiserver publishes no schema of %s, or not yet: a CustomResourceDefinition takes some seconds", k.gvk)
	}
	return k.merges, nil
}
