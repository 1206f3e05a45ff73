// Package cluster is the view of the cluster that the gate and the services look things up in: live, by
// informers, or fixed, from objects in files.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Resource is a kind of object that a Cluster can watch.
type Resource string

// The resources that can be watched.
const (
	Namespaces      Resource = "namespaces"
	ServiceAccounts Resource = "serviceaccounts"
)

// Cluster answers from memory what is in the cluster. The objects that its listers return are shared:
// they must not be changed. It is safe for concurrent use.
type Cluster struct {
	// Namespaces lists namespaces. Nil when the cluster is live and they are not among Options.Watch.
	Namespaces corev1listers.NamespaceLister
	// ServiceAccounts lists service accounts, of which only the name, namespace, resource version, labels
	// and annotations are kept. Nil when the cluster is live and they are not among Options.Watch.
	ServiceAccounts corev1listers.ServiceAccountLister
	// Client asks the apiserver itself. Nil when the cluster is not live.
	Client kubernetes.Interface

	known   bool
	logger  *slog.Logger
	factory informers.SharedInformerFactory // nil when not live
	synced  map[Resource]cache.InformerSynced
}

// Options is what a program wants of its cluster.
type Options struct {
	// Watch lists the resources to keep in memory when the cluster is live. A fixed cluster has them all.
	Watch []Resource
	// Logger receives what client-go logs. Nil: nothing is logged.
	Logger *slog.Logger
}

// New returns a live cluster over client. Run fills and follows it.
func New(client kubernetes.Interface, o Options) (*Cluster, error) {
	c := &Cluster{
		Client: client, known: true, logger: o.Logger,
		factory: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim)),
		synced:  map[Resource]cache.InformerSynced{},
	}
	core := c.factory.Core().V1()
	for _, resource := range o.Watch {
		var informer cache.SharedIndexInformer
		switch resource {
		case Namespaces:
			informer, c.Namespaces = core.Namespaces().Informer(), core.Namespaces().Lister()
		case ServiceAccounts:
			informer, c.ServiceAccounts = core.ServiceAccounts().Informer(), core.ServiceAccounts().Lister()
		default:
			return nil, fmt.Errorf("watching %s: not a resource that can be watched", resource)
		}
		c.synced[resource] = informer.HasSynced
	}
	return c, nil
}

// trim drops what nobody here reads, before it is kept: a large cluster has tens of thousands of service
// accounts, and managed fields are most of their size.
func trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.ServiceAccount:
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Namespace: o.Namespace, ResourceVersion: o.ResourceVersion,
			Labels: o.Labels, Annotations: o.Annotations,
		}}, nil
	case *corev1.Namespace:
		o.ManagedFields = nil
	}
	return obj, nil
}

// Known tells whether anything is known of the cluster. When false, every lister is there and empty: that
// an object is not found then says nothing.
func (c *Cluster) Known() bool { return c.known }

// Run follows the cluster until ctx is done, and then returns nil. A live cluster must be run once.
func (c *Cluster) Run(ctx context.Context) error {
	if c.factory == nil {
		<-ctx.Done()
		return nil
	}
	logger := logr.Discard()
	if c.logger != nil {
		logger = logr.FromSlogHandler(c.logger.Handler())
	}
	c.factory.StartWithContext(klog.NewContext(ctx, logger))
	<-ctx.Done()
	c.factory.Shutdown() // waits for the informers' goroutines
	return nil
}

// Ready returns nil once everything watched has been listed; until then what is missing. It does not wait.
func (c *Cluster) Ready(context.Context) error {
	var errs []error
	for _, resource := range []Resource{Namespaces, ServiceAccounts} {
		if synced := c.synced[resource]; synced != nil && !synced() {
			errs = append(errs, fmt.Errorf("%s: not yet listed from the apiserver", resource))
		}
	}
	return errors.Join(errs...)
}
