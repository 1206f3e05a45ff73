package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/resolver"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// settle is how long changes are collected before they are taken up: replicas come and go in groups, and an
// endpoint that moves from one slice to another is in neither for a moment.
const settle = 50 * time.Millisecond

// EndpointSlices returns the builder for targets k8s:///SERVICE.NAMESPACE:PORT. The replicas are the ready
// endpoints of the service, which must be one with a selector. PORT is the number of the port that they
// listen on (the target port, not the service's), or its name in the service. Certificates must be
// for SERVICE.NAMESPACE.svc. The client must be allowed to list and watch endpointslices in the namespace.
// A nil logger is told nothing.
func EndpointSlices(client kubernetes.Interface, logger *slog.Logger) resolver.Builder {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &sliceBuilder{client, logger}
}

type sliceBuilder struct {
	client kubernetes.Interface
	logger *slog.Logger
}

var _ resolver.AuthorityOverrider = (*sliceBuilder)(nil)

func (*sliceBuilder) Scheme() string { return "k8s" }

// OverrideAuthority implements resolver.AuthorityOverrider: it is the name that certificates are checked for.
func (*sliceBuilder) OverrideAuthority(target resolver.Target) string {
	s, err := parseService(target)
	if err != nil {
		return "invalid" // Build says what is wrong
	}
	return s.name + "." + s.namespace + ".svc"
}

// Build implements resolver.Builder.
func (b *sliceBuilder) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	s, err := parseService(target)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	w := &sliceResolver{
		service: s,
		target:  target.String(),
		channel: channel{ClientConn: cc},
		logger:  b.logger,
		changed: make(chan struct{}, 1), failed: make(chan error, 1),
	}
	ofService := labels.Set{discoveryv1.LabelServiceName: s.name}.String()
	w.informer = informers.NewSharedInformerFactoryWithOptions(b.client, 0,
		informers.WithNamespace(s.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = ofService }),
		informers.WithTransform(trim),
	).Discovery().V1().EndpointSlices().Informer()
	if err := w.informer.SetWatchErrorHandlerWithContext(w.watchError); err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	registration, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.change() },
		UpdateFunc: func(any, any) { w.change() },
		DeleteFunc: func(any) { w.change() },
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logr.FromSlogHandler(b.logger.Handler())))
	w.cancel = cancel
	w.all.Go(func() { w.informer.RunWithContext(ctx) })
	w.all.Go(func() { w.run(ctx, registration.HasSyncedChecker().Done()) })
	return w, nil
}

// trim drops what nobody here reads, before it is kept.
func trim(object any) (any, error) {
	if slice, ok := object.(*discoveryv1.EndpointSlice); ok {
		slice.ManagedFields = nil
	}
	return object, nil
}

// service is what a target names.
type service struct{ namespace, name, port string }

func (s service) String() string { return s.namespace + "/" + s.name }

func parseService(target resolver.Target) (service, error) {
	host, port, err := net.SplitHostPort(target.Endpoint())
	name, namespace, _ := strings.Cut(host, ".")
	if err != nil || target.URL.Host != "" || name == "" || namespace == "" || port == "" || strings.Contains(namespace, ".") {
		return service{}, errors.New("this is not k8s:///SERVICE.NAMESPACE:PORT")
	}
	return service{namespace: namespace, name: name, port: port}, nil
}

// sliceResolver follows the EndpointSlices of one service for one channel.
type sliceResolver struct {
	service
	channel
	target   string
	logger   *slog.Logger
	informer cache.SharedIndexInformer
	changed  chan struct{}
	failed   chan error // the last one that was not taken up yet
	cancel   context.CancelFunc
	all      sync.WaitGroup
}

// ResolveNow implements resolver.Resolver. What is known is never older than the watch.
func (*sliceResolver) ResolveNow(resolver.ResolveNowOptions) {}

// Close implements resolver.Resolver. It waits for the watch to end.
func (w *sliceResolver) Close() {
	w.cancel()
	w.all.Wait()
}

func (w *sliceResolver) change() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// watchError takes up why listing or watching has failed; it is tried again by itself.
func (w *sliceResolver) watchError(ctx context.Context, r *cache.Reflector, err error) {
	cache.DefaultWatchErrorHandler(ctx, r, err) // logs what is not in the order of things
	select {
	case w.failed <- err:
	default: // the one that waits says as much
	}
}

// run tells the channel of its replicas, once all slices have been listed; until then of what is in the way.
func (w *sliceResolver) run(ctx context.Context, synced <-chan struct{}) {
	for listed := false; ; {
		select {
		case <-ctx.Done():
			return
		case err := <-w.failed:
			if !listed {
				w.ReportError(fmt.Errorf("finding the replicas of service %s: %w", w.service, err))
			}
			continue
		case <-synced:
			listed, synced = true, nil
		case <-w.changed:
			if !listed {
				continue
			}
			if !sleep(ctx, settle, nil) {
				return
			}
		}
		w.publish(ctx)
	}
}

// publish tells the channel and the log what is in the slices now.
func (w *sliceResolver) publish(ctx context.Context) {
	var all []*discoveryv1.EndpointSlice
	for _, object := range w.informer.GetStore().List() {
		if slice, ok := object.(*discoveryv1.EndpointSlice); ok {
			all = append(all, slice)
		}
	}
	found := w.find(all)
	if len(found.replicas) == 0 {
		err := found.why(w.service)
		if w.clear(err) {
			w.logger.WarnContext(ctx, "a backend has no replicas", "endpoint", w.target, "error", err)
		}
		return
	}
	if w.set(found.replicas) {
		w.logger.InfoContext(ctx, "replicas found", "endpoint", w.target, "addresses", w.known, "not_ready", found.notReady)
	}
}
