package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	labels := map[string]string{"e2e": "true", "team": "payments"}
	maps.Copy(labels, r.labels)
	ns := must(c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       labels,
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
	eventually(t, func() error {
		stamped, err := create("welcome")
		if err != nil {
			return err
		}
		if stamped.Labels["stamped-by"] != "gatefold" {
			return errors.New("the mutating webhook is not in effect: no label was stamped")
		}
		if _, err := create("refuse-me"); !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			return fmt.Errorf("the validating webhook is not in effect: %w", err)
		}
		return nil
	})
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

// eventually calls f until it returns nil. The test ends with the last error when that takes too long.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(effectTimeout)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still so after %s: %v", effectTimeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
