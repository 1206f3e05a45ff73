package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// controlEnv makes the test binary be the control instead of running tests. Its value is a
// controlConfig in JSON.
const controlEnv = "GATEFOLD_BENCH_CONTROL"

type controlConfig struct {
	Address, Admin            string
	CertFile, KeyFile, CAFile string
}

func TestMain(m *testing.M) {
	config, isControl := os.LookupEnv(controlEnv)
	if !isControl {
		m.Run() // the generated main exits with its result
		return
	}
	if err := runControl(config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runControl serves two webhooks that do in one process what the gate and its mutator do in two.
func runControl(text string) error {
	var c controlConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	authorities := x509.NewCertPool()
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	authorities.AppendCertsFromPEM(pem)

	scheme := k8sruntime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	lean, err := newLean()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/control", newControl(admission.NewDecoder(scheme)))
	mux.Handle("/lean", lean)
	mux.Handle("/floor", newFloor())
	server := &http.Server{
		Addr: c.Address, Handler: mux,
		TLSConfig: &tls.Config{ClientCAs: authorities, ClientAuth: tls.RequireAndVerifyClientCert},
	}
	admin := &http.Server{Addr: c.Admin, Handler: promhttp.Handler()}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		_, _ = server.Close(), admin.Close()
	}()
	go func() { _ = admin.ListenAndServe() }()
	if err := server.ListenAndServeTLS(c.CertFile, c.KeyFile); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// newControl is what most webhooks are: controller-runtime's handler, the pod decoded into its Go type,
// changed, encoded again, and the patch taken from comparing the two texts.
func newControl(decoder admission.Decoder) http.Handler {
	return &admission.Webhook{Handler: admission.HandlerFunc(func(_ context.Context, req admission.Request) admission.Response {
		var pod corev1.Pod
		if err := decoder.Decode(req, &pod); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		inject(&pod)
		raw, err := json.Marshal(&pod)
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, err)
		}
		return admission.PatchResponseFromRaw(req.Object.Raw, raw)
	})}
}

// lean is as fast as a webhook gets with Kubernetes' own types: no framework, no comparison of texts;
// it knows which containers it has changed and puts them whole into the patch.
type lean struct{ decoder k8sruntime.Decoder }

func newLean() (*lean, error) {
	scheme := k8sruntime.NewScheme()
	if err := admissionv1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return &lean{decoder: serializer.NewCodecFactory(scheme).UniversalDeserializer()}, nil
}

// ServeHTTP answers one review.
func (c *lean) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var review admissionv1.AdmissionReview
	if _, _, err := c.decoder.Decode(body, nil, &review); err != nil || review.Request == nil {
		http.Error(w, fmt.Sprint("not a review: ", err), http.StatusBadRequest)
		return
	}
	var pod corev1.Pod
	if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	patch, err := json.Marshal(patchOf(inject(&pod)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	patchType := admissionv1.PatchTypeJSONPatch
	answer, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: review.TypeMeta,
		Response: &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &patchType},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// newFloor reads a review and answers with a canned text, about as long as a real one: what TLS and HTTP
// cost before any work is done.
func newFloor() http.Handler {
	patch := strings.Repeat("AWS_ROLE_ARN", 3) + strings.Repeat(" ", 2000)
	answer := fmt.Sprintf(`{"response":{"allowed":true,"patch":%q}}`, base64.StdEncoding.EncodeToString([]byte(patch)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	})
}

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func patchOf(pod *corev1.Pod) []operation {
	patch := []operation{{"add", "/spec/volumes/0", pod.Spec.Volumes[0]}, {"add", "/spec/containers", pod.Spec.Containers}}
	if len(pod.Spec.InitContainers) > 0 {
		patch = append(patch, operation{"add", "/spec/initContainers", pod.Spec.InitContainers})
	}
	return patch
}

// inject gives the pod the same AWS identity as the mutator does, and returns it.
func inject(pod *corev1.Pod) *corev1.Pod {
	expiration := int64(86400)
	volume := corev1.Volume{Name: "aws-iam-token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: "sts.amazonaws.com", ExpirationSeconds: &expiration, Path: "token",
		}}},
	}}}
	pod.Spec.Volumes = append([]corev1.Volume{volume}, pod.Spec.Volumes...)
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			containers[i].Env = append(containers[i].Env,
				corev1.EnvVar{Name: "AWS_STS_REGIONAL_ENDPOINTS", Value: "regional"},
				corev1.EnvVar{Name: "AWS_DEFAULT_REGION", Value: "us-west-2"},
				corev1.EnvVar{Name: "AWS_REGION", Value: "us-west-2"},
				corev1.EnvVar{Name: "AWS_ROLE_ARN", Value: "arn:aws:iam::111122223333:role/web"},
				corev1.EnvVar{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"},
			)
			containers[i].VolumeMounts = append(containers[i].VolumeMounts, corev1.VolumeMount{
				Name: "aws-iam-token", ReadOnly: true, MountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
			})
		}
	}
	return pod
}
