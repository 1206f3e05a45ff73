package azure

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/pod"
	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

const (
	proxyName     = "azwi-proxy"
	proxyInitName = "azwi-proxy-init"
)

// addProxy adds the proxy: an init container, the last, that redirects the pod's requests to the metadata
// service, and the proxy itself, the first of its kind. Each is added unless the list that it goes into
// has a container of its name; what the other list has does not matter, as in the reference.
func (p *Profile) addProxy(req *profile.Request, port int32, out *profile.Answer) error {
	native, err := p.nativeSidecars(req)
	if err != nil {
		return err
	}
	to := req.Pod
	if !to.HasInitContainer(proxyInitName) {
		to.AppendInitContainer(&out.Patch, p.proxyInit(port))
	}
	add, there := to.PrependMainContainer, (*pod.Pod).HasMainContainer
	proxy := p.proxy(port)
	if native {
		add, there = to.PrependInitContainer, (*pod.Pod).HasInitContainer
		proxy.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
	if !there(to, proxyName) {
		add(&out.Patch, proxy)
	}
	return nil
}

// nativeSidecars tells whether the proxy is an init container that keeps running: a Job then ends without
// it. Kubelets know such containers since 1.29, and may be three minor versions behind the server.
func (p *Profile) nativeSidecars(req *profile.Request) (bool, error) {
	if p.cfg.NativeSidecars != NativeSidecarsAuto {
		return p.cfg.NativeSidecars == NativeSidecarsTrue, nil
	}
	if known := p.native.Load(); known != nil {
		return *known, nil
	}
	if req.ServerVersion == nil {
		return true, nil
	}
	info, err := req.ServerVersion()
	if err != nil {
		return false, fmt.Errorf("finding out whether pods may have native sidecars: %w", err)
	}
	server, err := version.ParseSemantic(info.GitVersion)
	if err != nil {
		return false, fmt.Errorf("finding out whether pods may have native sidecars: reading the server's version: %w", err)
	}
	native := server.AtLeast(version.MajorMinor(1, 32))
	p.native.Store(&native)
	return native, nil
}

// proxyInit is the container that sets up the redirection.
func (p *Profile) proxyInit(port int32) corev1.Container {
	return corev1.Container{
		Name:            proxyInitName,
		Image:           p.cfg.Proxy.InitImage,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Env:             []corev1.EnvVar{{Name: "PROXY_PORT", Value: strconv.Itoa(int(port))}},
		SecurityContext: &corev1.SecurityContext{
			Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}, Drop: []corev1.Capability{"ALL"}},
			Privileged:   new(true),
			RunAsUser:    new(int64(0)),
			RunAsNonRoot: new(false),
		},
	}
}

// proxy is the container that answers.
func (p *Profile) proxy(port int32) corev1.Container {
	portArg, logArg := fmt.Sprintf("--proxy-port=%d", port), "--log-level="+p.cfg.Proxy.LogLevel
	return corev1.Container{
		Name:            proxyName,
		Image:           p.cfg.Proxy.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            []string{portArg, logArg},
		Ports:           []corev1.ContainerPort{{ContainerPort: port}},
		Lifecycle: &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{
			Command: []string{"/proxy", portArg, "--probe", logArg},
		}}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			Privileged:               new(false),
			ReadOnlyRootFilesystem:   new(true),
			RunAsNonRoot:             new(true),
		},
	}
}
