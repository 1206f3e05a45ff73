package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kwhttp "github.com/slok/kubewebhook/v2/pkg/http"
	kwmodel "github.com/slok/kubewebhook/v2/pkg/model"
	kwmutating "github.com/slok/kubewebhook/v2/pkg/webhook/mutating"
	kwvalidating "github.com/slok/kubewebhook/v2/pkg/webhook/validating"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/gatefold/gatefold/sdk"
	"github.com/gatefold/gatefold/sdk/tlsfile"
)

// testThirdParty holds the gate to what kube-apiserver makes of the same webhooks: eight of them, built with
// the two libraries that most are built with, are registered one by one for one namespace, stand behind the
// gate for another, and do the same as services of the SDK for a third. The same pod comes out of all three.
func testThirdParty(t *testing.T, w *world) {
	webhooks, services := w.startWebhooks(t), w.startChanges(t)
	var direct []admissionregistrationv1.WebhookClientConfig
	for _, c := range changes() {
		direct = append(direct, w.at(webhooks, "/"+c.name))
	}
	want := w.admitted(t, direct)
	if summary := want.Annotations["example.com/all-labels"]; !strings.Contains(summary, "containers=3,") {
		t.Fatalf("the webhooks have not changed the pod, or not in their order: its summary is %q", summary)
	}
	for name, alpn := range map[string]string{"http1": "http/1.1", "http2": "h2"} {
		t.Run(name, func(t *testing.T) {
			before := map[string]*gate{
				"webhooks":              w.startThirdPartyGate(t, alpn, webhooks, "", false),
				"services":              w.startThirdPartyGate(t, alpn, webhooks, services, false),
				"services that observe": w.startThirdPartyGate(t, alpn, webhooks, services, true),
				"webhooks that observe": w.startThirdPartyGate(t, alpn, webhooks, "", true),
			}
			for what, g := range before {
				t.Run("the gate before "+what+" makes the same pod", func(t *testing.T) {
					got := w.admitted(t, []admissionregistrationv1.WebhookClientConfig{w.at(g.address, "/mutate")})
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("(-webhooks alone +gate)\n%s", diff)
					}
				})
			}
			t.Run("a webhook's refusal reaches the user", func(t *testing.T) { w.refused(t, before["webhooks"]) })
			t.Run("a custom resource is defaulted by its Go type", func(t *testing.T) {
				want := w.typedWidget(t, w.at(webhooks, "/"+typed))
				if diff := cmp.Diff(want, w.typedWidget(t, w.at(before["webhooks"].address, "/mutate"))); diff != "" {
					t.Errorf("(-webhook alone +gate)\n%s", diff)
				}
			})
		})
	}
}

// startWebhooks serves each change at a path of its name, the defaults of widgets, and one refusal at
// /validate, and returns the address. The first four are built with controller-runtime, the others with kubewebhook.
func (w *world) startWebhooks(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	for i, c := range changes() {
		if i < 4 {
			mux.Handle("/"+c.name, must(admission.StandaloneWebhook(
				admission.WithDefaulter(clientgoscheme.Scheme, defaulter(c.make)), admission.StandaloneOptions{}))(t))
			continue
		}
		webhook := must(kwmutating.NewWebhook(kwmutating.WebhookConfig{
			ID: c.name, Obj: &corev1.Pod{},
			Mutator: kwmutating.MutatorFunc(func(_ context.Context, _ *kwmodel.AdmissionReview, object metav1.Object) (*kwmutating.MutatorResult, error) {
				c.make(object.(*corev1.Pod))
				return &kwmutating.MutatorResult{MutatedObject: object}, nil
			}),
		}))(t)
		mux.Handle("/"+c.name, must(kwhttp.HandlerFor(kwhttp.HandlerConfig{Webhook: webhook}))(t))
	}
	mux.Handle("/"+typed, must(admission.StandaloneWebhook(typedDefaulter(), admission.StandaloneOptions{}))(t))
	ownership := must(kwvalidating.NewWebhook(kwvalidating.WebhookConfig{
		ID: "ownership", Obj: &corev1.Pod{},
		Validator: kwvalidating.ValidatorFunc(func(_ context.Context, _ *kwmodel.AdmissionReview, object metav1.Object) (*kwvalidating.ValidatorResult, error) {
			_, owned := object.GetLabels()["app"]
			return &kwvalidating.ValidatorResult{Valid: owned, Message: "a pod without the label app belongs to nobody"}, nil
		}),
	}))(t)
	mux.Handle("/validate", must(kwhttp.HandlerFor(kwhttp.HandlerConfig{Webhook: ownership}))(t))

	pair := must(w.pki.Server("webhooks"))(t)
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.TLS = must(tlsfile.NewServer(tlsfile.ServerConfig{CertFile: pair.CertFile, KeyFile: pair.KeyFile, ClientCAFile: w.pki.CAFile}))(t).Config()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// defaulter is a change for controller-runtime.
type defaulter func(*corev1.Pod)

// Default implements admission.Defaulter.
func (d defaulter) Default(_ context.Context, pod *corev1.Pod) error {
	d(pod)
	return nil
}

// startChanges serves the changes as mutators of the SDK, and returns the address.
func (w *world) startChanges(t *testing.T) string {
	t.Helper()
	mutators := map[string]sdk.Mutator{}
	for _, c := range changes() {
		mutators[c.name] = sdk.MutatorFunc(func(_ context.Context, r *sdk.Request) (*sdk.Mutation, error) {
			var pod corev1.Pod
			if err := r.Decode(&pod); err != nil {
				return nil, err
			}
			c.make(&pod)
			return &sdk.Mutation{Object: &pod}, nil
		})
	}
	pair := must(w.pki.Server("changes"))(t)
	config := must(tlsfile.NewServer(tlsfile.ServerConfig{CertFile: pair.CertFile, KeyFile: pair.KeyFile, ClientCAFile: w.pki.CAFile}))(t).Config()
	listener := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	server := sdk.NewServer(sdk.Config{Name: "changes", Mutators: mutators}, grpc.Creds(credentials.NewTLS(config)))
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// startThirdPartyGate runs a gate before the webhooks, or before the same changes as gRPC services when their
// address is given. observes tells it what each change depends on.
func (w *world) startThirdPartyGate(t *testing.T, alpn, webhooks, services string, observes bool) *gate {
	t.Helper()
	type backend struct{ Name, Observes string }
	var backends []backend
	for _, c := range changes() {
		b := backend{Name: c.name}
		if observes {
			b.Observes = strings.Join(c.observes, ", ")
		}
		backends = append(backends, b)
	}
	return w.startGateFrom(t, "thirdparty.yaml", w.gates["http1"].apiserver, map[string]any{
		"ALPN": alpn, "Changes": backends, "Webhooks": webhooks, "GRPC": services, "CABundle": base64.StdEncoding.EncodeToString(w.pki.CA),
	})
}

// at says how kube-apiserver reaches a webhook.
func (w *world) at(address, path string) admissionregistrationv1.WebhookClientConfig {
	url := "https://" + address + path
	return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: w.pki.CA}
}

func rulesOf(group, resource string) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
	}}
}

// bareNamespace makes a namespace in which pods may be created, and returns its name.
func (w *world) bareNamespace(t *testing.T, c *client) string {
	t.Helper()
	ns := must(c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "thirdparty-"}}, metav1.CreateOptions{}))(t).Name
	must(c.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}))(t)
	return ns
}

// admitted registers mutating webhooks, in this order, for a namespace of their own, creates a pod there, and
// returns what is stored, without what differs from one pod to the next.
func (w *world) admitted(t *testing.T, webhooks []admissionregistrationv1.WebhookClientConfig) *corev1.Pod {
	t.Helper()
	c := w.client(t, nil)
	ns := w.bareNamespace(t, c)
	registerMutating(t, c, ns, webhooks, rulesOf("", "pods"))
	eventually(t, func() error {
		tried, err := c.CoreV1().Pods(ns).Create(t.Context(), thirdPartyPod(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && tried.Annotations["example.com/all-labels"] == "" {
			err = fmt.Errorf("the registration is not in effect: annotations %v", tried.Annotations)
		}
		return err
	})
	must(c.createPod(t, ns, thirdPartyPod()))(t)
	stored := must(c.CoreV1().Pods(ns).Get(t.Context(), thirdPartyPod().Name, metav1.GetOptions{}))(t)
	return withoutIdentity(stored)
}

// registerMutating registers mutating webhooks, in this order, for a namespace.
func registerMutating(t *testing.T, c *client, ns string, webhooks []admissionregistrationv1.WebhookClientConfig, rules []admissionregistrationv1.RuleWithOperations) {
	t.Helper()
	none, timeout := admissionregistrationv1.SideEffectClassNone, int32(10)
	registration := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: ns}}
	for i, at := range webhooks {
		registration.Webhooks = append(registration.Webhooks, admissionregistrationv1.MutatingWebhook{
			Name: fmt.Sprintf("mutate-%d.example.com", i), ClientConfig: at, Rules: rules, TimeoutSeconds: &timeout, SideEffects: &none,
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}},
			AdmissionReviewVersions: []string{"v1"},
		})
	}
	api := c.AdmissionregistrationV1().MutatingWebhookConfigurations()
	must(api.Create(t.Context(), registration, metav1.CreateOptions{}))(t)
	t.Cleanup(func() {
		if err := api.Delete(context.WithoutCancel(t.Context()), ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// thirdPartyPod has something of everything that the changes touch.
func thirdPartyPod() *corev1.Pod {
	return pod("web", func(p *corev1.Pod) {
		p.Annotations = map[string]string{"note": "a/b~c"}
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Name: "helper", Image: "registry.example.com/helper:1", Env: []corev1.EnvVar{{Name: "MODE", Value: "<test>"}},
		})
	})
}

// withoutIdentity removes what kube-apiserver gives each pod anew: among it the volume of its token, which
// has a random name.
func withoutIdentity(p *corev1.Pod) *corev1.Pod {
	p.UID, p.Namespace, p.ResourceVersion, p.CreationTimestamp, p.ManagedFields = "", "", "", metav1.Time{}, nil
	const token = "kube-api-access"
	for i := range p.Spec.Volumes {
		if strings.HasPrefix(p.Spec.Volumes[i].Name, token) {
			p.Spec.Volumes[i].Name = token
		}
	}
	for i := range p.Spec.Containers {
		mounts := p.Spec.Containers[i].VolumeMounts
		for j := range mounts {
			if strings.HasPrefix(mounts[j].Name, token) {
				mounts[j].Name = token
			}
		}
	}
	return p
}

// refused creates a pod that the validating webhook behind the gate refuses.
func (w *world) refused(t *testing.T, g *gate) {
	t.Helper()
	c := w.client(t, nil)
	ns := w.bareNamespace(t, c)
	none := admissionregistrationv1.SideEffectClassNone
	api := c.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	must(api.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "validate.gatefold.dev", ClientConfig: w.at(g.address, "/validate"), Rules: rulesOf("", "pods"), SideEffects: &none,
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}},
			AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{}))(t)
	t.Cleanup(func() {
		if err := api.Delete(context.WithoutCancel(t.Context()), ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	const want = `admission webhook "validate.gatefold.dev" denied the request: ownership: a pod without the label app belongs to nobody`
	eventually(t, func() error {
		_, err := c.CoreV1().Pods(ns).Create(t.Context(), pod("stray", func(p *corev1.Pod) { p.Labels = nil }), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("want a refusal with %q, got: %w", want, err)
		}
		return nil
	})
	must(c.createPod(t, ns, pod("owned")))(t)
}
