package azure

import (
	"fmt"
	"strconv"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// AnnotationPrefix stands before the slash in every annotation and label.
const AnnotationPrefix = "azure.workload.identity"

// The label that is read.
const (
	// On the pod: "true", and nothing else, asks for an Azure identity. Pods without it are left alone,
	// and their ServiceAccount is not looked up.
	labelUse = "azure.workload.identity/use"
)

// The annotations that are read.
const (
	// On the ServiceAccount: the client ID of the identity, for AZURE_CLIENT_ID. Absent or empty, the
	// variable is not injected.
	annotationClientID = "azure.workload.identity/client-id"
	// On the ServiceAccount: the tenant's ID, for AZURE_TENANT_ID. Absent, it is the configured one;
	// empty, the variable is not injected.
	annotationTenantID = "azure.workload.identity/tenant-id"
	// On the pod, or else on the ServiceAccount: the token's life in seconds, from 3600 to 86400. Absent
	// or empty, it is 3600.
	annotationExpiration = "azure.workload.identity/service-account-token-expiration"
	// On the pod: the containers, init containers included, that get no identity, separated by
	// semicolons, with or without blanks.
	annotationSkip = "azure.workload.identity/skip-containers"
	// On the pod: with any value, even "false", the proxy is added, which answers requests for tokens
	// that are meant for the metadata service of Azure's machines.
	annotationProxy = "azure.workload.identity/inject-proxy-sidecar"
	// On the pod: the port that the proxy listens on. Absent, it is 8000.
	annotationProxyPort = "azure.workload.identity/proxy-sidecar-port"
	// On the pod: the configured tokenEndpoint.annotationSuffix stands behind it, and "true", in any
	// case, leads the pod to that token endpoint.
	annotationEndpoint = "azure.workload.identity/use-"
)

const (
	// The bounds are Microsoft Entra's: kube-apiserver's own is 600.
	minExpiration, maxExpiration = 3600, 86400
	defaultExpiration            = 3600
	defaultProxyPort             = 8000
	maxPort                      = 65535
)

// inputs are what a pod and its ServiceAccount say.
type inputs struct {
	clientID   string
	tenantID   string
	ownTenant  bool // the ServiceAccount has said, be it that it has none
	expiration int64
	proxy      bool
	proxyPort  int32
}

// read reads the annotations, and reports what is wrong with them in the reference's order.
func (p *Profile) read(of *pod.Pod, account map[string]string, out *profile.Answer) inputs {
	in := inputs{clientID: account[annotationClientID], proxyPort: defaultProxyPort}
	in.tenantID, in.ownTenant = account[annotationTenantID]
	var value string
	if value, in.proxy = of.Annotation(annotationProxy); in.proxy {
		if of.HostNetwork() {
			in.proxy = false
			p.refuseProxy(out)
		} else {
			in.proxyPort = p.readProxyPort(of, out)
			p.noteRefusal(value, out)
		}
	}
	in.expiration = p.readExpiration(of, account, out)
	p.noteAccount(in, account, out)
	return in
}

// refuseProxy reports that the pod cannot have the proxy that it asks for.
func (p *Profile) refuseProxy(out *profile.Answer) {
	const reason = "the pod is on its node's network (hostNetwork), which a proxy would redirect"
	if p.cfg.InvalidValue == profile.Deny {
		out.Report(profile.Deny, reason)
		return
	}
	out.Note(p.cfg.InvalidValue, reason+"; no proxy is injected")
}

// readExpiration returns the token's life: the pod's, or else the ServiceAccount's. An empty text counts
// as absent, and so does one that cannot be used.
func (p *Profile) readExpiration(of *pod.Pod, account map[string]string, out *profile.Answer) int64 {
	own, _ := of.Annotation(annotationExpiration)
	for _, from := range []struct{ owner, text string }{{"pod", own}, {"ServiceAccount", account[annotationExpiration]}} {
		if from.text == "" {
			continue
		}
		seconds, err := strconv.ParseInt(from.text, 10, 64)
		if err == nil && minExpiration <= seconds && seconds <= maxExpiration {
			return seconds
		}
		out.Invalid(p.cfg.InvalidValue, profile.Invalid{
			Annotation: annotationExpiration, Value: from.text, Owner: from.owner,
			Want: fmt.Sprintf("between %d and %d", minExpiration, maxExpiration), Instead: "ignored",
		})
	}
	return defaultExpiration
}

// readProxyPort accepts every number that fits, as the reference does. An empty text is none.
func (p *Profile) readProxyPort(of *pod.Pod, out *profile.Answer) int32 {
	text, ok := of.Annotation(annotationProxyPort)
	if !ok {
		return defaultProxyPort
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		out.Invalid(p.cfg.InvalidValue, profile.Invalid{
			Annotation: annotationProxyPort, Value: text, Owner: "pod",
			Want: "a port number", Instead: fmt.Sprintf("%d is used", defaultProxyPort),
		})
		return defaultProxyPort
	}
	if port < 1 || port > maxPort {
		out.Note(p.cfg.InvalidValue, "proxy-sidecar-port %d is not between 1 and %d; kube-apiserver will refuse the pod", port, maxPort)
	}
	return int32(port)
}

// noteRefusal tells who wants no proxy that they get one.
func (p *Profile) noteRefusal(value string, out *profile.Answer) {
	if wanted, err := strconv.ParseBool(value); err == nil && !wanted {
		out.Note(p.cfg.InvalidValue, "inject-proxy-sidecar %q injects the proxy as any value does; remove the annotation", value)
	}
}

// noteAccount tells what the ServiceAccount's annotations do not do.
func (p *Profile) noteAccount(in inputs, account map[string]string, out *profile.Answer) {
	if in.clientID == "" {
		out.Note(p.cfg.InvalidValue, "client-id is not set on the ServiceAccount; AZURE_CLIENT_ID is not injected")
	}
	if in.ownTenant && in.tenantID == "" {
		out.Note(p.cfg.InvalidValue, "tenant-id is empty on the ServiceAccount; AZURE_TENANT_ID is not injected")
	}
	profile.NoteMisplaced(out, p.cfg.InvalidValue, account, annotationSkip)
}

// readSkip returns the containers to leave alone.
func readSkip(of *pod.Pod) profile.Names {
	text, ok := of.Annotation(annotationSkip)
	if !ok || text == "" {
		return profile.Names{}
	}
	return profile.SplitNames(text, ";")
}
