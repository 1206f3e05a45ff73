package identitytest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity"
)

// Recording is what a reference webhook made of a pod on CREATE, in Namespace.
type Recording struct {
	// Config is the name of the reference's settings, which are its Flags and Env.
	Config string            `json:"config"`
	Flags  []string          `json:"flags"`
	Env    map[string]string `json:"env"`
	// ServerVersion is the kube-apiserver that the reference saw, where it looks.
	ServerVersion string `json:"serverVersion"`
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

// Flag returns the value of one of the reference's flags, "--flag value" or "--flag=value".
func (r *Recording) Flag(name string) (value string, ok bool) {
	for i, flag := range r.Flags {
		if before, after, found := strings.Cut(flag, "="); found && before == name {
			return after, true
		}
		if flag == name && i+1 < len(r.Flags) {
			return r.Flags[i+1], true
		}
	}
	return "", false
}

// Replay sends the pods of testdata/recorded.jsonl through the mutator that configure makes of each
// recording's settings: the same pods must come out, and the same be denied. In replaced are the names of
// what may be replaced in a pod.
func Replay(t *testing.T, count int, configure func(t *testing.T, r *Recording) identity.Config, replaced ...string) {
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
			r.replay(t, configure(t, r), replaced)
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if replayed != count {
		t.Errorf("replayed %d recordings, want %d", replayed, count)
	}
}

func (r *Recording) replay(t *testing.T, cfg identity.Config, replaced []string) {
	var known One
	if r.ServiceAccount.Annotations != nil {
		known.ServiceAccount = ServiceAccount(r.ServiceAccount.Name, r.ServiceAccount.Annotations)
	}
	got := Inject(t, New(t, cfg, identity.Sources{ServiceAccounts: known, ServerVersion: Version(r.ServerVersion)}), r.Pod)
	if !r.Allowed {
		if got.Denial == nil || got.Denial.GetCode() != r.Status.Code {
			t.Errorf("let in, or with another code: %v; the reference denied with %d: %s", got.Denial, r.Status.Code, r.Status.Message)
		}
		return
	}
	if got.Denial != nil {
		t.Fatalf("denied, and the reference let it in: %s", got.Denial.GetMessage())
	}
	if diff := cmp.Diff(Normalise(t, r.Final), Normalise(t, got.Object)); diff != "" {
		t.Errorf("not the pod that the reference made (-reference +ours):\n%s", diff)
	}
	AssertNothingLost(t, r.Pod, got.Object, replaced...)
}
