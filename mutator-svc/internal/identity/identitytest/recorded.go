package identitytest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// Recording is what a reference webhook made of a pod on CREATE, in Namespace.
type Recording struct {
	// Line is where it stands in its file.
	Line int `json:"-"`
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

// Set is what was recorded with the same settings.
type Set struct {
	// Config means the same as the reference's settings.
	Config identity.Config
	// Pods are in the order of the file.
	Pods []*Recording
}

// Replay sends the recorded pods of a profile through a mutator of their configuration: the same pods must
// come out, and the same be denied. In replaced are the names of what may be replaced in a pod.
func Replay(t *testing.T, profile string, count int, replaced ...string) {
	replayed := 0
	for _, set := range Recordings(t, ".", profile) {
		for _, r := range set.Pods {
			replayed++
			t.Run(fmt.Sprintf("line %d %s %s", r.Line, r.Config, r.ServiceAccount.Name), func(t *testing.T) {
				from := identity.Sources{ServiceAccounts: One{r.Account()}}
				got := Inject(t, New(t, set.Config, from), r.Pod)
				r.Compare(t, got)
				if got.Denial == nil {
					sdktest.NothingLost(t, r.Pod, got.Object, replaced...)
				}
			})
		}
	}
	if replayed != count {
		t.Errorf("replayed %d recordings, want %d", replayed, count)
	}
}

// Recordings reads testdata/recorded.jsonl and testdata/configs.yaml below the folder of a profile, and
// returns the sets by their names.
func Recordings(t *testing.T, folder, profile string) map[string]*Set {
	t.Helper()
	sets := readConfigs(t, filepath.Join(folder, "testdata/configs.yaml"), profile)
	file, err := os.Open(filepath.Join(folder, "testdata/recorded.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		r := &Recording{Line: number}
		if err := json.Unmarshal(lines.Bytes(), r); err != nil {
			t.Fatalf("line %d: %v", number, err)
		}
		set, ok := sets[r.Config]
		if !ok {
			t.Fatalf("line %d: %s is not among the configurations", number, r.Config)
		}
		set.Pods = append(set.Pods, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return sets
}

func readConfigs(t *testing.T, file, profile string) map[string]*Set {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]any
	if err := kubeyaml.UnmarshalStrict(data, &texts); err != nil {
		t.Fatal(err)
	}
	sets := map[string]*Set{}
	for name, text := range texts {
		sets[name] = &Set{Config: decodeConfig(t, profile, text)}
	}
	return sets
}

// Account is the pod's ServiceAccount; nil where there is none.
func (r *Recording) Account() *corev1.ServiceAccount {
	if r.ServiceAccount.Annotations == nil {
		return nil
	}
	return ServiceAccount(r.ServiceAccount.Name, r.ServiceAccount.Annotations)
}

// Compare sees that an answer is the reference's.
func (r *Recording) Compare(t *testing.T, got Answer) {
	t.Helper()
	switch {
	case !r.Allowed && got.Denial.GetCode() != r.Status.Code:
		t.Errorf("let in, or with another code: %v; the reference denied with %d: %s", got.Denial, r.Status.Code, r.Status.Message)
	case r.Allowed && got.Denial != nil:
		t.Errorf("denied, and the reference let it in: %s", got.Denial.GetMessage())
	case r.Allowed:
		want, is := sdktest.NormalisePod(t, r.Final, Namespace), sdktest.NormalisePod(t, got.Object, Namespace)
		if diff := cmp.Diff(want, is); diff != "" {
			t.Errorf("not the pod that the reference made (-reference +ours):\n%s", diff)
		}
	}
}

// decodeConfig returns the configuration in which only this profile is configured, by what was decoded from
// YAML; nil: with its defaults.
func decodeConfig(t *testing.T, profile string, decoded any) (cfg identity.Config) {
	t.Helper()
	if decoded == nil {
		decoded = map[string]any{}
	}
	text, err := json.Marshal(map[string]any{profile: decoded})
	if err != nil {
		t.Fatal(err)
	}
	if err := kubeyaml.UnmarshalStrict(text, &cfg); err != nil {
		t.Fatalf("config: %v", err)
	}
	return cfg
}
