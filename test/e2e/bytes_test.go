package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

const widgetsPath = "/apis/e2e.gatefold.dev/v1/namespaces/"

// testBytes sends one custom resource full of JSON's traps to two namespaces, one behind the gate and
// one not. Whatever kube-apiserver makes of it, it must make the same of both; but the gate's own label
// shows that the first one did go through.
func testBytes(t *testing.T, w *world, g *gate) {
	c := w.client(t, nil)
	behind := w.namespace(t, registration{gate: g})
	beside := must(c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-control-"},
	}, metav1.CreateOptions{}))(t).Name
	spec := must(os.ReadFile(filepath.Join("testdata", "widget-spec.json")))(t)

	gated, control := createWidget(t, c, behind, spec), createWidget(t, c, beside, spec)
	if diff := cmp.Diff(string(control.Spec), string(gated.Spec)); diff != "" {
		t.Errorf("spec (-control +through the gate):\n%s", diff)
	}
	for _, trap := range []string{"9223372036854775807", "-9223372036854775808", "9007199254740993", `"cASE"`, `"null":null`} {
		if !strings.Contains(string(control.Spec), trap) {
			t.Errorf("kube-apiserver itself has lost %s, so that nothing is shown by its being gone: %s", trap, control.Spec)
		}
	}
	if diff := cmp.Diff(map[string]string{"stamped-by": "gatefold", "team": "payments"}, gated.Metadata.Labels); diff != "" {
		t.Errorf("labels of the gated copy (-want +got):\n%s", diff)
	}
	if len(control.Metadata.Labels) != 0 {
		t.Errorf("the control copy has been stamped: %v", control.Metadata.Labels)
	}
}

// widget is the parts of a Widget that are compared; the spec as it came over the wire.
type widget struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

// createWidget returns the widget as it is stored. It sends and reads bytes: a client that decodes
// would itself lose what the test looks for.
func createWidget(t *testing.T, c *client, ns string, spec []byte) widget {
	t.Helper()
	must(postWidget(t, c, ns, spec))(t)
	raw := must(c.CoreV1().RESTClient().Get().AbsPath(widgetsPath + ns + "/widgets/traps").Do(t.Context()).Raw())(t)
	var stored widget
	if err := json.Unmarshal(raw, &stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

func postWidget(t *testing.T, c *client, ns string, spec []byte) ([]byte, error) {
	t.Helper()
	body := []byte(`{"apiVersion":"e2e.gatefold.dev/v1","kind":"Widget","metadata":{"name":"traps"},"spec":`)
	body = append(append(body, spec...), '}')
	result := c.CoreV1().RESTClient().Post().AbsPath(widgetsPath+ns+"/widgets").
		SetHeader("Content-Type", "application/json").Body(body).Do(t.Context())
	raw, _ := result.Raw() // whose error does not have the apiserver's words
	return raw, result.Error()
}

// installWidgets defines the resource "widgets" and waits until it is served.
func (w *world) installWidgets(t *testing.T) {
	t.Helper()
	c := w.client(t, nil)
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal(must(os.ReadFile(filepath.Join("testdata", "widgets.crd.yaml")))(t), &definition.Object); err != nil {
		t.Fatal(err)
	}
	definitions := c.dynamic.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
	must(definitions.Create(t.Context(), &definition, metav1.CreateOptions{}))(t)
	eventually(t, func() error {
		_, err := c.CoreV1().RESTClient().Get().AbsPath(widgetsPath + "default/widgets").Do(t.Context()).Raw()
		return err
	})
}
