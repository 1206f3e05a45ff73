package mutatorsvc_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/cluster"
	"github.com/gatefold/gatefold/sdk/run"
	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/sdk/telemetry"
)

func rolesConfigMap(version, config string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "eks", Name: "pod-identity-webhook", ResourceVersion: version},
		Data:       map[string]string{"config": config},
	}
}

// The last good roles stay in force while the ConfigMap is broken, also when the configuration is reloaded.
func TestRolesOutliveReloads(t *testing.T) {
	const text = `
apiVersion: gatefold.dev/v1alpha1
kind: MutatorConfig
listen: {clientAuth: {mode: None}}
mutators: [identity, labels]
identity: {aws: {roleConfigMap: {}}}
labels: {rules: [{set: {labels: {mutate: VALUE}}}]}
`
	client := fake.NewClientset(
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "reader"}},
		rolesConfigMap("1", `{"team-a/reader":{"RoleARN":"arn:aws:iam::111122223333:role/first"}}`),
	)
	state, err := cluster.New(client, cluster.Options{
		Watch:      []cluster.Resource{cluster.ServiceAccounts},
		ConfigMaps: []types.NamespacedName{{Namespace: "eks", Name: "pod-identity-webhook"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{file: filepath.Join(t.TempDir(), "gatefold.yaml"), logs: &logs{}}
	s.configure(t, text)
	tel := telemetry.Discard()
	tel.Logger = slog.New(slog.NewTextHandler(s.logs, nil))
	listener := sdktest.Listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- run.Tasks(ctx, state.Run, func(ctx context.Context) error {
			return mutatorsvc.Run(ctx, mutatorsvc.Options{ConfigFile: s.file, Cluster: state, Listener: listener, Telemetry: tel})
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s.conn = sdktest.Dial(t, listener)

	eventually(t, "the role", func() bool { return strings.HasSuffix(s.role(t), "/first") })
	if _, err := client.CoreV1().ConfigMaps("eks").Update(t.Context(), rolesConfigMap("2", "{"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the complaint", func() bool {
		return strings.HasSuffix(s.role(t), "/first") && s.logs.contain("the last good ones stay in force")
	})
	s.configure(t, strings.Replace(text, "VALUE", "second", 1))
	eventually(t, "the new label", func() bool { return s.label(t) == "second" })
	if role := s.role(t); !strings.HasSuffix(role, "/first") {
		t.Errorf("role %q after the configuration was reloaded, want the last good one", role)
	}
}

// role is the role of the pod; empty where it has none, or where that is not known yet.
func (s *service) role(t *testing.T) string {
	t.Helper()
	response, err := s.mutate(t, mutatorsvc.Identity)
	if err != nil {
		return ""
	}
	after := string(sdktest.Apply(t, []byte(podText), response.GetOperations()))
	_, after, _ = strings.Cut(after, `"AWS_ROLE_ARN","value":"`)
	role, _, _ := strings.Cut(after, `"`)
	return role
}
