package identitytest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// Recording is what a reference webhook made of a pod on CREATE, in Namespace.
type Recording struct {
	// Config is the name of the reference's settings.
	Config string `json:"config"`
	// ServiceAccount is the pod's; its annotations are nil where there is no such ServiceAccount.
	ServiceAccount struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"serviceAccount"`
	// Pod is what was sent, and Final what the reference made of it; null where it was not Allowed.
	Pod     json.RawMessage `json:"pod"`
	Allowed bool            `json:"allowed"`
	Final   json.RawMessage `json:"final"`
	Status  struct {
		Code    int32  `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
}

// Replay sends the pods of testdata/recorded.jsonl through the mutator with the profile of this name, which is
// configured by testdata/configs.yaml as the reference was by its flags: the same pods must come out, and the
// same be denied. In replaced are the names of what may be replaced in a pod.
func Replay(t *testing.T, profile string, count int, replaced ...string) {
	configs := readConfigs(t, profile)
	file, err := os.Open("testdata/recorded.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	replayed := 0
	for ; lines.Scan(); replayed++ {
		r := &Recording{}
		if err := json.Unmarshal(lines.Bytes(), r); err != nil {
			t.Fatalf("line %d: %v", replayed+1, err)
		}
		t.Run(fmt.Sprintf("line %d %s %s", replayed+1, r.Config, r.ServiceAccount.Name), func(t *testing.T) {
			cfg, ok := configs[r.Config]
			if !ok {
				t.Fatalf("no %s in testdata/configs.yaml", r.Config)
			}
			r.replay(t, cfg, replaced)
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if replayed != count {
		t.Errorf("replayed %d recordings, want %d", replayed, count)
	}
}

// readConfigs reads the configurations of a profile, by the names that recordings have for them.
func readConfigs(t *testing.T, profile string) map[string]identity.Config {
	data, err := os.ReadFile("testdata/configs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := kubeyaml.UnmarshalStrict(data, &texts); err != nil {
		t.Fatal(err)
	}
	configs := map[string]identity.Config{}
	for name, text := range texts {
		configs[name] = decodeConfig(t, profile, text)
	}
	return configs
}

func (r *Recording) replay(t *testing.T, cfg identity.Config, replaced []string) {
	var known One
	if r.ServiceAccount.Annotations != nil {
		known.ServiceAccount = ServiceAccount(r.ServiceAccount.Name, r.ServiceAccount.Annotations)
	}
	got := Inject(t, New(t, cfg, identity.Sources{ServiceAccounts: known}), r.Pod)
	if !r.Allowed {
		if got.Denial == nil || got.Denial.GetCode() != r.Status.Code {
			t.Errorf("let in, or with another code: %v; the reference denied with %d: %s", got.Denial, r.Status.Code, r.Status.Message)
		}
		return
	}
	if got.Denial != nil {
		t.Fatalf("denied, and the reference let it in: %s", got.Denial.GetMessage())
	}
	if diff := cmp.Diff(sdktest.NormalisePod(t, r.Final, Namespace), sdktest.NormalisePod(t, got.Object, Namespace)); diff != "" {
		t.Errorf("not the pod that the reference made (-reference +ours):\n%s", diff)
	}
	sdktest.NothingLost(t, r.Pod, got.Object, replaced...)
}
