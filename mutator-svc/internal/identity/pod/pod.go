// Package pod reads the few parts of a pod that decide about its identity, and changes the pod by
// operations on the JSON that came. Nothing is ever encoded again: a field that this package does not
// know, in a container or anywhere else, stays as it was.
package pod

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Pod is a narrow view of a core/v1 Pod. Most pods are none of a profile's business, so Decode looks at
// what tells them apart only; Open reads the lists. The methods that change the pod also keep the view
// up to date, so that a later profile sees what an earlier one added. It must not be used concurrently,
// nor after the JSON that it was decoded from has changed.
type Pod struct {
	metadata            bool // whether there is any
	name, generateName  []byte
	labels, annotations texts

	spec           bool // whether there is any
	serviceAccount []byte
	hostNetwork    bool
	nodeSelector   texts

	unread         struct{ volumes, initContainers, containers jsontext.Value } // as they came
	opened         bool
	volumes        list
	initContainers containers
	containers     containers
}

// Decode reads a pod from its JSON, which is taken to be good. The error is of one that is cut short or has a
// text, a list or an object where the API has something else.
func Decode(object []byte) (*Pod, error) {
	p, s := &Pod{}, &scanner{source: object}
	_, err := s.members(func(name []byte) (err error) {
		// Both start afresh, so that the last of two members wins as a whole, as it does for those who
		// apply the patch; merged, the view could show what is not there.
		switch string(name) {
		case "metadata":
			p.metadata, p.name, p.generateName, p.labels, p.annotations = false, nil, nil, texts{}, texts{}
			return p.readMetadata(s)
		case "spec":
			p.spec, p.serviceAccount, p.hostNetwork, p.nodeSelector = false, nil, false, texts{}
			p.unread.volumes, p.unread.initContainers, p.unread.containers = nil, nil, nil
			return p.readSpec(s)
		}
		return s.skip()
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, fmt.Errorf("decoding the pod: %w", err)
	}
	return p, nil
}

func (p *Pod) readMetadata(s *scanner) (err error) {
	p.metadata, err = s.members(func(name []byte) (err error) {
		switch string(name) {
		case "name":
			p.name, err = s.text()
		case "generateName":
			p.generateName, err = s.text()
		case "labels":
			p.labels, err = s.texts()
		case "annotations":
			p.annotations, err = s.texts()
		default:
			err = s.skip()
		}
		return err
	})
	return err
}

func (p *Pod) readSpec(s *scanner) (err error) {
	p.spec, err = s.members(func(name []byte) (err error) {
		switch string(name) {
		case "serviceAccountName":
			p.serviceAccount, err = s.text()
		case "hostNetwork":
			var value jsontext.Value
			value, err = s.value()
			p.hostNetwork = value.Kind() == 't'
		case "nodeSelector":
			p.nodeSelector, err = s.texts()
		case "volumes":
			p.unread.volumes, err = s.value()
		case "initContainers":
			p.unread.initContainers, err = s.value()
		case "containers":
			p.unread.containers, err = s.value()
		default:
			err = s.skip()
		}
		return err
	})
	return err
}

// Open reads the pod's volumes and containers. Whoever wants to know or change them calls it first; to
// call it again costs nothing.
func (p *Pod) Open() error {
	if p.opened {
		return nil
	}
	if !p.spec {
		return errors.New("decoding the pod: it has no spec")
	}
	p.opened = true
	p.initContainers.at, p.containers.at = "/spec/initContainers", "/spec/containers"
	var err error
	read := func(name string, part jsontext.Value, into func(*scanner) error) {
		if part == nil || err != nil {
			return
		}
		if err = into(&scanner{source: part}); err != nil {
			err = fmt.Errorf("decoding the pod's %s: %w", name, err)
		}
	}
	read("volumes", p.unread.volumes, p.volumes.read)
	read("initContainers", p.unread.initContainers, p.initContainers.read)
	read("containers", p.unread.containers, p.containers.read)
	return err
}

// Name is empty for a pod that is yet to be given its name.
func (p *Pod) Name() string { return string(p.name) }

// GenerateName is what the name of such a pod will begin with.
func (p *Pod) GenerateName() string { return string(p.generateName) }

// ServiceAccount is empty for mirror pods: every other pod has been given one when it comes here.
func (p *Pod) ServiceAccount() string { return string(p.serviceAccount) }

// HostNetwork tells whether the pod uses its node's network.
func (p *Pod) HostNetwork() bool { return p.hostNetwork }

// OnWindows tells whether the pod goes to Windows nodes. It looks at the node selector only, as the
// references do; spec.os and affinity do not count.
func (p *Pod) OnWindows() bool {
	for _, label := range []string{"kubernetes.io/os", "beta.kubernetes.io/os"} {
		if os, _ := p.nodeSelector.get(label); os == "windows" {
			return true
		}
	}
	return false
}

// WindowsPath is an absolute path in Unix style as programs on Windows need it, on the drive C unless it has one.
// Mounts stay in Unix style: kubelet on Windows converts them.
func WindowsPath(unix string) string {
	if !strings.Contains(unix, ":") {
		unix = "C:" + unix
	}
	return strings.ReplaceAll(unix, "/", `\`)
}

// Label returns the value of one of the pod's labels.
func (p *Pod) Label(key string) (value string, ok bool) { return p.labels.get(key) }

// Annotation returns the value of one of the pod's annotations.
func (p *Pod) Annotation(key string) (value string, ok bool) { return p.annotations.get(key) }

// AnnotationsUnder returns the annotations whose keys begin with prefix, by what follows it; nil where
// there are none.
func (p *Pod) AnnotationsUnder(prefix string) map[string]string { return p.annotations.under(prefix) }
