// Package cluster is the view of the cluster that the gate and the services look things up in: live, by
// following kube-apiserver, or fixed, from objects in files.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	corev1informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/gatefold/gatefold/sdk/run"
)

// Resource is a kind of object that a Cluster can watch.
type Resource string

// The resources that can be watched.
const (
	Namespaces      Resource = "namespaces"
	ServiceAccounts Resource = "serviceaccounts"
)

// Cluster answers from memory what is in the cluster. The objects that it and its listers return are
// shared: they must not be changed. It is safe for concurrent use.
type Cluster struct {
	// Namespaces lists namespaces. Nil when the cluster is live and they are not among Options.Watch.
	Namespaces corev1listers.NamespaceLister
	// ServiceAccounts lists service accounts. Of a live cluster's only the name, the namespace and the
	// annotations that Options.Annotations wants are kept, and they cannot be listed by label; a fixed
	// cluster keeps the resource version, all labels and all annotations. Nil when the cluster is live and
	// they are not among Options.Watch.
	ServiceAccounts corev1listers.ServiceAccountLister
	// Client asks the apiserver itself. Nil when the cluster is not live.
	Client kubernetes.Interface
	// Dynamic and Metadata are the clients of Follow, for whole objects and for metadata only. Source.Open sets
	// them when the cluster is live; who calls New sets what is needed before the first Follow.
	Dynamic  dynamic.Interface
	Metadata metadata.Interface

	known      bool
	logger     *slog.Logger
	configMaps map[types.NamespacedName]*configMap
	watches    []watch // none when not live
	follower   follower
	fixed      fixed // none when live
}

// watch is something that is kept up to date.
type watch struct {
	name   string
	synced func() bool
	follow func(context.Context) // until the context is done
}

// Options is what a program wants of its cluster. They concern a live one: a fixed cluster has all that is
// among its objects.
type Options struct {
	// Watch lists the resources to keep in memory.
	Watch []Resource
	// Annotations tells by its key whether an annotation of a ServiceAccount is kept in memory. The rest is
	// dropped, as labels always are, which nobody here reads. It must be safe for concurrent use, and its
	// answers must not change: what was dropped is not asked for again. Nil: all are kept.
	Annotations func(key string) bool
	// ConfigMaps are single ConfigMaps to keep in memory, for Cluster.ConfigMap. Each is a watch of its own,
	// for which the program needs the right to list and watch configmaps in that namespace; a Role may narrow
	// it down to that name by resourceNames. They need not exist.
	ConfigMaps []types.NamespacedName
	// Logger receives what client-go logs. Nil: nothing is logged.
	Logger *slog.Logger
}

// New returns a live cluster over client. Run fills and follows it.
func New(client kubernetes.Interface, o Options) (*Cluster, error) {
	c := &Cluster{Client: client, known: true, logger: o.Logger, configMaps: map[types.NamespacedName]*configMap{}}
	for i, resource := range o.Watch {
		if slices.Contains(o.Watch[:i], resource) {
			continue
		}
		switch resource {
		case Namespaces:
			informer := corev1informers.NewNamespaceInformer(client, 0, cache.Indexers{})
			if err := informer.SetTransform(trim); err != nil {
				return nil, fmt.Errorf("watching %s: %w", resource, err)
			}
			c.Namespaces = corev1listers.NewNamespaceLister(informer.GetIndexer())
			c.watches = append(c.watches, watch{string(resource), informer.HasSynced, informer.RunWithContext})
		case ServiceAccounts:
			accounts := newAccounts(o.Annotations)
			c.ServiceAccounts = accounts
			c.watches = append(c.watches, watch{string(resource), accounts.listed.Load, accounts.reflector(client).RunWithContext})
		default:
			return nil, fmt.Errorf("watching %s: not a resource that can be watched", resource)
		}
	}
	for _, name := range o.ConfigMaps {
		if name.Namespace == "" || name.Name == "" {
			return nil, fmt.Errorf("watching ConfigMap %s: it needs a namespace and a name", name)
		}
		if c.configMaps[name] != nil {
			continue
		}
		single := &configMap{name: name}
		c.configMaps[name] = single
		c.watches = append(c.watches, watch{"configmap " + name.String(), single.listed.Load, single.reflector(client).RunWithContext})
	}
	return c, nil
}

// Known tells whether anything is known of the cluster. When false, every lister is there and empty: that
// an object is not found then says nothing.
func (c *Cluster) Known() bool { return c.known }

// Live tells whether the cluster follows an apiserver. When false, it is fixed: it is as complete from the
// start as it will ever be, and there is nothing to wait for.
func (c *Cluster) Live() bool { return c.Client != nil }

// ConfigMap returns a ConfigMap without its managed fields and binary data. It is the same pointer until the
// ConfigMap changes, so that what was parsed from it can be kept by it. apierrors.IsNotFound tells that there
// is none, as for every ConfigMap where nothing is known of the cluster. Any other error means that it cannot
// be said: that a live cluster has not listed it yet, or that it is not among Options.ConfigMaps.
func (c *Cluster) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	at := types.NamespacedName{Namespace: namespace, Name: name}
	single := c.configMaps[at]
	switch {
	case single == nil && c.Live():
		return nil, fmt.Errorf("configmap %s is not watched", at)
	case single == nil:
		return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
	}
	return single.get()
}

// Run follows the cluster until ctx is done, and then returns nil. A live cluster must be run once.
func (c *Cluster) Run(ctx context.Context) error {
	logger := logr.Discard()
	if c.logger != nil {
		logger = logr.FromSlogHandler(c.logger.Handler())
	}
	tasks := []func(context.Context) error{c.follower.run}
	for _, w := range c.watches {
		tasks = append(tasks, func(ctx context.Context) error { w.follow(ctx); return nil })
	}
	return run.Tasks(klog.NewContext(ctx, logger), tasks...)
}

// Ready returns nil once everything watched has been listed, and what Follow says; until then what is missing. It does not wait.
func (c *Cluster) Ready(context.Context) error {
	errs := []error{c.follower.ready()}
	for _, w := range c.watches {
		if !w.synced() {
			errs = append(errs, fmt.Errorf("%s: not yet listed from the apiserver", w.name))
		}
	}
	return errors.Join(errs...)
}

// trim drops what nobody here reads before an object is kept: managed fields are most of the size of small
// ones.
func trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.ServiceAccount:
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Namespace: o.Namespace, ResourceVersion: o.ResourceVersion,
			Labels: o.Labels, Annotations: o.Annotations,
		}}, nil
	case *corev1.Namespace:
		o.ManagedFields = nil
	case *corev1.ConfigMap:
		o.ManagedFields, o.BinaryData = nil, nil
	}
	return obj, nil
}
