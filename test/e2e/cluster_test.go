package e2e

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// effectTimeout is how long kube-apiserver may take to notice a new registration, and everybody else a
// new namespace.
const effectTimeout = 30 * time.Second

// registration says how a namespace's writes reach a gate.
type registration struct {
	gate          *gate
	reviewVersion string                                    // default v1
	failurePolicy admissionregistrationv1.FailurePolicyType // kube-apiserver's own; default Fail
	labels        map[string]string                         // of the namespace, besides those that every test's has
}

// namespace makes a namespace whose pods, configmaps and widgets go through a gate, with the service
// accounts "default" and "builder", and returns its name once all that is in effect. "builder" may
// assume an AWS role.
func (w *world) namespace(t *testing.T, r registration) string {
	t.Helper()
	c := w.client(t, nil)
	ns := must(c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       merge(map[string]string{"e2e": "true", "team": "payments"}, r.labels),
	}}, metav1.CreateOptions{}))(t).Name
	for name, annotations := range map[string]map[string]string{
		"default": nil,
		"builder": {"eks.amazonaws.com/role-arn": roleARN},
	} {
		must(c.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		}, metav1.CreateOptions{}))(t)
	}
	w.register(t, c, ns, r)
	awaitEffect(t, c, ns)
	return ns
}

func (w *world) register(t *testing.T, c *client, ns string, r registration) {
	t.Helper()
	if r.reviewVersion == "" {
		r.reviewVersion = "v1"
	}
	if r.failurePolicy == "" {
		r.failurePolicy = admissionregistrationv1.Fail
	}
	var (
		sideEffects = admissionregistrationv1.SideEffectClassNone
		selector    = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}}
		rules       = []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"pods", "configmaps", "widgets"},
			},
		}}
		timeout = int32(10)
	)
	clientConfig := func(path string) admissionregistrationv1.WebhookClientConfig {
		url := r.gate.url(path)
		return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: w.pki.CA}
	}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "mutate.gatefold.dev", ClientConfig: clientConfig("/mutate"), Rules: rules,
			NamespaceSelector: selector, FailurePolicy: &r.failurePolicy, SideEffects: &sideEffects,
			TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{r.reviewVersion},
		}},
	}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "validate.gatefold.dev", ClientConfig: clientConfig("/validate"), Rules: rules,
			NamespaceSelector: selector, FailurePolicy: &r.failurePolicy, SideEffects: &sideEffects,
			TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{r.reviewVersion},
		}},
	}
	api := c.AdmissionregistrationV1()
	must(api.MutatingWebhookConfigurations().Create(t.Context(), mutating, metav1.CreateOptions{}))(t)
	must(api.ValidatingWebhookConfigurations().Create(t.Context(), validating, metav1.CreateOptions{}))(t)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := api.MutatingWebhookConfigurations().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := api.ValidatingWebhookConfigurations().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// awaitEffect waits until both webhooks are seen at work: one stamps a label, the other refuses a name.
func awaitEffect(t *testing.T, c *client, ns string) {
	t.Helper()
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	create := func(name string) (*corev1.ConfigMap, error) {
		return c.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, dryRun)
	}
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, effectTimeout, true, func(context.Context) (bool, error) {
		var stamped *corev1.ConfigMap
		if stamped, last = create("welcome"); last != nil || stamped.Labels["stamped-by"] != "gatefold" {
			return false, nil
		}
		_, last = create("refuse-me")
		return apierrors.IsForbidden(last) || apierrors.IsInvalid(last), nil
	})
	if err != nil {
		t.Fatalf("the webhooks of %s are not in effect after %s; the last answer was: %v", ns, effectTimeout, last)
	}
	c.warnings.take()
}

// pod returns a pod that breaks no policy.
func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example.com/app:1.2.3"}}},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func (c *client) createPod(t *testing.T, ns string, p *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return c.CoreV1().Pods(ns).Create(t.Context(), p, metav1.CreateOptions{})
}

// warnings keeps what kube-apiserver says in Warning headers.
type warnings struct {
	mu   sync.Mutex
	list []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

// take returns the warnings since the last call.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

// withHeaders adds headers to each request.
type withHeaders struct {
	next    http.RoundTripper
	headers map[string]string
}

// RoundTrip implements http.RoundTripper.
func (w withHeaders) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, value := range w.headers {
		req.Header.Set(name, value)
	}
	return w.next.RoundTrip(req)
}

func merge(maps ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			merged[k] = v
		}
	}
	return merged
}

func spansOf(spans []harness.Span, service string) []harness.Span {
	return slices.DeleteFunc(slices.Clone(spans), func(s harness.Span) bool { return !strings.Contains(s.Service, service) })
}
