package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatefold/gatefold/test/internal/harness"
)

// imageWorld is a kube-apiserver whose ImagePolicyWebhook plugin asks a gate. No webhook is registered.
type imageWorld struct {
	*world

	gate   *gate
	client *client
}

// testImages turns the plugin on as docs/how-to/review-images.md says, with the files that stand there, for both
// values of defaultAllow and both protocols.
func testImages(t *testing.T, w *world) {
	t.Run("defaultAllow false", func(t *testing.T) {
		i := newImageWorld(t, w, false, "h2")
		t.Run("verdicts", i.testVerdicts)
		t.Run("answers are remembered", i.testRemembered)
		t.Run("failures", func(t *testing.T) { i.testFailures(t, false) })
	})
	t.Run("defaultAllow true", func(t *testing.T) {
		i := newImageWorld(t, w, true, "http/1.1")
		_, err := i.create(t, i.namespace(t, nil), pod("strange", image("docker.io/a:1")))
		deniedImages(t, err, "docker.io/a:1") // an answer is an answer
		t.Run("failures", func(t *testing.T) { i.testFailures(t, true) })
	})
}

func newImageWorld(t *testing.T, w *world, defaultAllow bool, alpn string) *imageWorld {
	t.Helper()
	blocks := must(harness.Blocks("how-to/review-images.md"))(t)
	change := func(title string, changes ...string) string {
		text := blocks[title]
		for i := 0; i < len(changes); i += 2 {
			if !strings.Contains(text, changes[i]) {
				t.Fatalf("the block %q of the page does not say %q: %s", title, changes[i], text)
			}
			text = strings.ReplaceAll(text, changes[i], changes[i+1])
		}
		return text
	}
	i := &imageWorld{world: &world{dir: t.TempDir(), binaries: w.binaries, collector: w.collector, pki: w.pki}}
	write := func(name, text string) string {
		file := filepath.Join(i.dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	address := must(harness.FreeAddress())(t)
	apiserver := must(i.pki.Client("kube-apiserver"))(t)
	kubeconfig := write("images.kubeconfig", change("gatefold-images.kubeconfig",
		"https://gatefold.example.com:8443", "https://"+address,
		"/etc/kubernetes/pki/gatefold-ca.crt", i.pki.CAFile,
		"/etc/kubernetes/pki/gatefold.crt", apiserver.CertFile, "/etc/kubernetes/pki/gatefold.key", apiserver.KeyFile))
	i.controlPlane = startControlPlane(t, harness.ControlPlaneConfig{
		Dir: i.dir, OTLPEndpoint: i.collector.Address, Plugins: []string{"ImagePolicyWebhook"},
		Admission: change("admission.yaml", "/etc/kubernetes/gatefold-images.kubeconfig", kubeconfig,
			"defaultAllow: false", fmt.Sprintf("defaultAllow: %t", defaultAllow)),
	})
	validator := i.startServiceWith(t, "validator", i.binaries.Validator, write("registry.yaml", change("policies/registry.yaml")))
	i.gate = i.startGateAt(t, address, "images.yaml", apiserver, map[string]any{
		"ALPN": alpn, "Nobody": must(harness.FreeAddress())(t),
		"Backends": change("GatewayConfig", "dns:///gatefold-validator.gatefold-system.svc:9444", "dns:///"+validator.address),
	})
	i.client = i.world.client(t, nil)
	return i
}

// namespace makes a namespace with these labels.
func (i *imageWorld) namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	ns := must(i.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "images-", Labels: labels},
	}, metav1.CreateOptions{}))(t).Name
	must(i.client.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
	}, metav1.CreateOptions{}))(t)
	return ns
}

// create creates a pod, as soon as kube-apiserver knows that its namespace has a service account.
func (i *imageWorld) create(t *testing.T, ns string, p *corev1.Pod) (created *corev1.Pod, err error) {
	t.Helper()
	eventually(t, func() error {
		created, err = i.client.createPod(t, ns, p)
		if err != nil && strings.Contains(err.Error(), "error looking up service account") {
			return err
		}
		return nil
	})
	return created, err
}

func image(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Image = name }
}

func deniedImages(t *testing.T, err error, says string) {
	t.Helper()
	for _, want := range []string{"image policy webhook backend denied one or more images: policy: ", says} {
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("answered %v, want a refusal that says %q", err, want)
		}
	}
}

func (i *imageWorld) testVerdicts(t *testing.T) {
	ns := i.namespace(t, nil)
	created := must(i.create(t, ns, pod("good")))(t)

	_, err := i.create(t, ns, pod("bad", image("docker.io/b:1")))
	deniedImages(t, err, "docker.io/b:1: namespace "+ns+" takes images from registry.example.com alone")

	_, err = i.create(t, ns, pod("bad-init", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "docker.io/init:1"}}
	}))
	deniedImages(t, err, "docker.io/init:1: namespace")

	ephemeral := func(image string) error {
		p := created.DeepCopy()
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: image}}}
		_, err := i.client.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), p.Name, p, metav1.UpdateOptions{})
		return err
	}
	deniedImages(t, ephemeral("docker.io/debug:1"), "docker.io/debug:1: namespace")
	if err := ephemeral("registry.example.com/debug:1"); err != nil {
		t.Errorf("a good ephemeral container: %v", err)
	}

	// The policy sees the annotations that the plugin passes on, and what it notes down is in the audit log.
	const key = "break-glass.image-policy.k8s.io/ticket"
	must(i.create(t, ns, pod("excepted", image("docker.io/c:1"), func(p *corev1.Pod) { p.Annotations = map[string]string{key: "OPS-1"} })))(t)
	i.awaitAudit(t, ns, "excepted", "imagepolicywebhook.image-policy.k8s.io/policy.registry_ticket", "OPS-1")
}

// testRemembered: the plugin keeps answers by the review's spec, of which the pod's name is no part.
func (i *imageWorld) testRemembered(t *testing.T) {
	ns := i.namespace(t, nil)
	before := i.decided(t)
	for n := range 3 {
		must(i.create(t, ns, pod(fmt.Sprintf("same-%d", n))))(t)
		_, err := i.create(t, ns, pod(fmt.Sprintf("bad-%d", n), image("docker.io/d:1")))
		deniedImages(t, err, "docker.io/d:1")
	}
	if got := i.decided(t) - before; got != 2 {
		t.Errorf("the gate was asked %v times, want 2: once about each image", got)
	}
}

// decided is how many reviews the gate has decided, its own tests apart.
func (i *imageWorld) decided(t *testing.T) float64 {
	t.Helper()
	return must(harness.Metrics(t.Context(), "http://"+i.gate.admin+"/metrics"))(t)["gatefold_decisions_total"]
}

// testFailures: a required backend that is down is no refusal, and defaultAllow has its say; so it has when
// nobody may ask the gate, and when the gate is gone.
func (i *imageWorld) testFailures(t *testing.T, defaultAllow bool) {
	required := i.namespace(t, map[string]string{"absent": "required"})
	check := func(name, says string, change ...func(*corev1.Pod)) {
		t.Helper()
		_, err := i.create(t, required, pod(name, change...))
		switch {
		case defaultAllow && err != nil:
			t.Errorf("%s: refused in spite of defaultAllow: %v", name, err)
		case defaultAllow:
			i.awaitAudit(t, required, name, "imagepolicywebhook.image-policy.k8s.io/failed-open", "true")
		case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "denied"):
			t.Errorf("%s: answered %v, want an error that says %q and no denial", name, err, says)
		}
	}
	before := i.decided(t)
	check("unlucky", `gatefold backend \"absent\" failed`) // the plugin puts the text into quotes
	if got := i.decided(t) - before; got != 5 {
		t.Errorf("the plugin asked %v times, want 5: the page says so", got)
	}
	_, err := i.create(t, required, pod("refused", image("docker.io/e:1")))
	deniedImages(t, err, "docker.io/e:1") // a refusal is certain whatever failed beside it

	must(i.create(t, i.namespace(t, map[string]string{"absent": "optional"}), pod("lucky")))(t)

	stranger := i.httpClient(t, nil)
	if resp, err := post(t, stranger, i.gate.url("/imagereview"), "application/json", strings.NewReader("{}")); err == nil {
		_ = resp.Body.Close()
		t.Errorf("a stranger was answered %s", resp.Status)
	}
	resp := must(post(t, i.httpClient(t, &i.gate.apiserver), i.gate.url("/imagereview"), "application/json", strings.NewReader("{}")))(t)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no ImageReview was answered %s", resp.Status)
	}

	if err := i.gate.process.Stop(); err != nil {
		t.Fatal(err)
	}
	check("forlorn", "refused", image("registry.example.com/f:1"))
}

// awaitAudit waits until the audit event of a pod's creation has an annotation.
func (i *imageWorld) awaitAudit(t *testing.T, ns, pod, key, value string) {
	t.Helper()
	seen := map[string]string{}
	eventually(t, func() error {
		for line := range bytes.Lines(must(os.ReadFile(i.controlPlane.AuditLog))(t)) {
			var event struct {
				Verb        string
				ObjectRef   struct{ Namespace, Resource, Name string }
				Annotations map[string]string
			}
			if json.Unmarshal(line, &event) != nil || event.Verb != "create" || event.ObjectRef.Namespace != ns || event.ObjectRef.Name != pod {
				continue
			}
			maps.Copy(seen, event.Annotations)
		}
		if len(seen) == 0 {
			return errors.New("the audit log does not know the pod " + pod)
		}
		return nil
	})
	if seen[key] != value {
		t.Errorf("the audit event of %s has %v, want %s: %s", pod, seen, key, value)
	}
}
