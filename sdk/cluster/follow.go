package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// FollowOptions say what is kept of the objects that Cluster.Follow follows.
type FollowOptions struct {
	// MetadataOnly keeps *metav1.PartialObjectMetadata, which is all that a live cluster then asks the
	// apiserver for. False: whole objects, as *unstructured.Unstructured.
	MetadataOnly bool
}

// Objects are the objects of one kind in all namespaces, as Cluster.Follow returns them. It is an
// informers.GenericInformer. It is safe for concurrent use.
type Objects struct {
	source objectSource

	mu            sync.Mutex
	registrations []cache.ResourceEventHandlerRegistration
	release       func() // nil: closed
}

// objectSource is where Objects come from.
type objectSource interface {
	Informer() cache.SharedIndexInformer
	Lister() cache.GenericLister
	Scope() (meta.RESTScope, error)
	ready() error
	// lost says since when, and why, changes are not heard of; nil: they are.
	lost() (since time.Time, err error)
}

// Follow returns the objects of a kind, served in the version that kind names; of a fixed cluster those in
// its files of exactly that version. Without a version it is the one that the apiserver prefers, and those of
// all versions in files. It does not wait, and may be called before Run and while it runs. Those
// of a live cluster are one watch for each kind and options, until the last of those who follow has closed
// what was returned; the program needs the right to list and watch them in all namespaces. A kind that is not
// served, as because its CustomResourceDefinition comes later, is asked for again, every half minute or so in
// the end. What is followed before Run begins counts in Ready, unless it is not served; what is followed
// later does not, because a reload must take no running program out of service: see Objects.Ready.
//
// The error says that kind has no name, or that a live cluster has no client to follow it with.
func (c *Cluster) Follow(kind schema.GroupVersionKind, o FollowOptions) (*Objects, error) {
	if kind.Kind == "" {
		return nil, errors.New("following objects: it needs a kind")
	}
	if !c.Live() {
		return &Objects{source: c.fixed.of(kind, o), release: func() {}}, nil
	}
	source, release, err := c.follower.follow(c, followed{kind, o})
	if err != nil {
		return nil, fmt.Errorf("following %s: %w", describe(kind), err)
	}
	return &Objects{source: source, release: release}, nil
}

// Informer returns what keeps the objects up to date, for its HasSynced, its store and its indexer. Event
// handlers are for Notify. A fixed cluster's has no other methods that may be called.
func (o *Objects) Informer() cache.SharedIndexInformer { return o.source.Informer() }

// Lister answers from memory. As long as Ready has an error because of the kind, so has every lookup, and
// never one that says not found. The objects are shared: they must not be changed.
func (o *Objects) Lister() cache.GenericLister { return o.source.Lister() }

// Scope tells whether the kind is namespaced. Of a live cluster the apiserver says so: an error tells that it
// has not yet. In files it is what a CustomResourceDefinition says, or what is known of a built-in kind; any
// other kind is namespaced unless there are objects of it and none has a namespace.
func (o *Objects) Scope() (meta.RESTScope, error) { return o.source.Scope() }

// Ready returns nil once all objects were listed and every handler of Notify has seen them; until then what
// is in the way, as that the apiserver refuses to list them. It has an error again when the apiserver does
// not serve the kind any more, or takes the right away. Nothing is said by an apiserver that cannot be
// reached: what was listed is then what is known. See Current.
func (o *Objects) Ready() error {
	if err := o.source.ready(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.release == nil {
		return errors.New("closed")
	}
	for _, r := range o.registrations {
		if !r.HasSynced() {
			return errors.New("not yet all seen since they were listed")
		}
	}
	return nil
}

// Current is Ready for those who may not decide by what was true some time ago: it has an error also when changes
// have not been heard of for longer than patience, because the apiserver cannot be reached.
func (o *Objects) Current(patience time.Duration) error {
	if err := o.Ready(); err != nil {
		return err
	}
	if since, err := o.source.lost(); err != nil && time.Since(since) > patience {
		// Not %w: see liveObjects.ready.
		return fmt.Errorf("changes have not been heard of for %s: %v", time.Since(since).Round(time.Second), err) //nolint:errorlint // see above
	}
	return nil
}

// Notify calls show for every object there is, and again when it changes, and gone with the last that was known of
// one that is not there any more: one call after the other, until o is closed. gone may be nil. A fixed cluster's
// are shown before Notify returns.
func (o *Objects) Notify(show, gone func(object any)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.release == nil {
		return errors.New("notifying: closed")
	}
	registration, err := o.source.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    show,
		UpdateFunc: func(_, now any) { show(now) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok { // its end was not heard of
				object = unknown.Obj
			}
			if gone != nil {
				gone(object)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("notifying: %w", err)
	}
	o.registrations = append(o.registrations, registration)
	return nil
}

// Close ends the following, for o: handlers may see some more that was on its way. It may be called again.
func (o *Objects) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.release == nil {
		return
	}
	for _, r := range o.registrations {
		_ = o.source.Informer().RemoveEventHandler(r) // which fails only for one that is not its own
	}
	o.registrations = nil
	o.release()
	o.release = nil
}

// followed is what Objects follow.
type followed struct {
	kind    schema.GroupVersionKind
	options FollowOptions
}

// describe names a kind as a user writes it.
func describe(kind schema.GroupVersionKind) string {
	if kind.Version == "" {
		return kind.GroupKind().String()
	}
	return kind.GroupVersion().String() + " " + kind.Kind
}

// follower keeps the watches of a live cluster's Follow.
type follower struct {
	mu       sync.Mutex
	ctx      context.Context //nolint:containedctx // that of Run, for what is followed while it runs; nil before
	watches  map[followed]*followedWatch
	followed sync.WaitGroup
}

// followedWatch is a watch and for how many Objects it is.
type followedWatch struct {
	objects *liveObjects
	users   int
	early   bool // since before Run
	stop    context.CancelFunc
}

// follow returns the watch of what, which it begins if need be.
func (f *follower) follow(c *Cluster, what followed) (*liveObjects, func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.watches[what]
	if w == nil {
		objects, err := newLiveObjects(c, what)
		if err != nil {
			return nil, nil, err
		}
		w = &followedWatch{objects: objects, early: f.ctx == nil, stop: func() {}}
		if f.watches == nil {
			f.watches = map[followed]*followedWatch{}
		}
		f.watches[what] = w
		f.start(w)
	}
	w.users++
	return w.objects, func() { f.release(what, w) }, nil
}

// start follows w if Run runs. The caller holds the lock.
func (f *follower) start(w *followedWatch) {
	if f.ctx == nil || f.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(f.ctx)
	w.stop = cancel
	f.followed.Go(func() { w.objects.informer.RunWithContext(ctx) })
}

func (f *follower) release(what followed, w *followedWatch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.users--; w.users == 0 {
		w.stop()
		delete(f.watches, what)
	}
}

// run follows until ctx is done.
func (f *follower) run(ctx context.Context) error {
	f.mu.Lock()
	f.ctx = ctx
	for _, w := range f.watches {
		f.start(w)
	}
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock()   // nothing starts any more
	f.mu.Unlock() //nolint:staticcheck // an empty section, to have waited for who holds it
	f.followed.Wait()
	return nil
}

// ready returns what is in the way of what was followed before Run.
func (f *follower) ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, w := range f.watches {
		if w.early && !w.objects.informer.HasSynced() && !w.objects.unserved() {
			errs = append(errs, w.objects.ready())
		}
	}
	return errors.Join(errs...)
}

// trimObject drops what nobody reads before an object of any kind is kept, and gives metadata the kind that
// it is the metadata of.
func trimObject(obj any, kind schema.GroupVersionKind) any {
	switch o := obj.(type) {
	case *unstructured.Unstructured:
		unstructured.RemoveNestedField(o.Object, "metadata", "managedFields")
	case *metav1.PartialObjectMetadata:
		o.ManagedFields = nil
		o.SetGroupVersionKind(kind)
	}
	return obj
}
