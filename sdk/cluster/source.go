package cluster

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Limits of a program's own calls to the apiserver: enough for informers and a burst of single lookups,
// too little to be felt.
const (
	clientQPS   = 50
	clientBurst = 50
)

// Source says where the view of the cluster comes from: at most one of its fields is set. The zero
// Source knows nothing, which is enough for programs that need no cluster.
type Source struct {
	// Kubeconfig is the path of a kubeconfig file; its current context is used.
	Kubeconfig string
	// InCluster uses the service account that kubelet mounts into a pod.
	InCluster bool
	// ObjectFiles are files of objects that make up a fixed cluster; see ReadObjects.
	ObjectFiles []string
}

// Open returns the cluster. It reads files, but asks no apiserver: Run does. With the zero Source the
// cluster knows nothing and says so by Known.
func (s Source) Open(o Options) (*Cluster, error) {
	set := 0
	for _, given := range []bool{s.Kubeconfig != "", s.InCluster, len(s.ObjectFiles) > 0} {
		if given {
			set++
		}
	}
	if set > 1 {
		return nil, errors.New("the cluster can come from a kubeconfig, from the pod, or from object files: choose one")
	}

	switch {
	case s.Kubeconfig != "":
		config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("reading kubeconfig %s: %w", s.Kubeconfig, err)
		}
		return connect(config, o)
	case s.InCluster:
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("reading the pod's service account: %w", err)
		}
		return connect(config, o)
	case len(s.ObjectFiles) > 0:
		objects, err := ReadObjects(s.ObjectFiles...)
		if err != nil {
			return nil, err
		}
		return FromObjects(objects...)
	default:
		c, err := FromObjects()
		if err != nil {
			return nil, err
		}
		c.known = false
		return c, nil
	}
}

// InPod tells whether the process runs in a pod with a mounted service account: what a program that was
// told nothing else may take for Source.InCluster.
func InPod() bool {
	_, err := rest.InClusterConfig()
	return err == nil
}

func connect(config *rest.Config, o Options) (*Cluster, error) {
	config.QPS, config.Burst = clientQPS, clientBurst
	config.ContentType = runtime.ContentTypeProtobuf // built-in types are in it, and it is half the work
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.UserAgent = "gatefold"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", config.Host, err)
	}
	c, err := New(client, o)
	if err != nil {
		return nil, err
	}
	if c.Dynamic, err = dynamic.NewForConfig(config); err != nil { // it speaks JSON, whatever config says
		return nil, fmt.Errorf("making a client for objects of any kind: %w", err)
	}
	if c.Metadata, err = metadata.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for metadata: %w", err)
	}
	return c, nil
}
