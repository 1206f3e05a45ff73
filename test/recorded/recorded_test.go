// Package recorded replays what the clouds' own webhooks made of pods, through gatefold review: the same
// pods must come out, and the same be refused.
package recorded

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/sdk/sdktest"
	"github.com/gatefold/gatefold/test/internal/harness"
)

// namespace is where the pods were created.
const namespace = "default"

// recording is a line of recorded.jsonl; see the README beside it.
type recording struct {
	Config         string         `json:"config"`
	ServiceAccount serviceAccount `json:"serviceAccount"`
	Pod            json.RawMessage
	Allowed        bool
	Final          json.RawMessage
}

type serviceAccount struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"` // nil: there is no such ServiceAccount
}

// reviewed is a line that gatefold review prints.
type reviewed struct {
	Allowed bool            `json:"allowed"`
	Object  json.RawMessage `json:"object"`
}

func TestReview(t *testing.T) {
	gatefold, err := harness.BuildCLI(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(root, "mutator-svc/internal/identity/*/testdata/recorded.jsonl"))
	if err != nil || len(folders) != 3 {
		t.Fatalf("recordings: %v, %v, want those of three clouds", folders, err)
	}
	for _, file := range folders {
		profile := filepath.Base(filepath.Dir(filepath.Dir(file)))
		configs := map[string]any{}
		data, err := os.ReadFile(filepath.Join(filepath.Dir(file), "configs.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(data, &configs); err != nil {
			t.Fatal(err)
		}
		byConfig := read(t, file)
		for name, recordings := range byConfig {
			t.Run(profile+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				writeJSON(t, filepath.Join(dir, "gatefold.yaml"), gate(), map[string]any{
					"apiVersion": "gatefold.dev/v1alpha1",
					"kind":       "MutatorConfig",
					"identity":   map[string]any{profile: configs[name]},
				})
				for i, line := range review(t, gatefold, dir, recordings) {
					recordings[i].compare(t, line)
				}
			})
		}
	}
}

func (r *recording) compare(t *testing.T, got reviewed) {
	t.Helper()
	if got.Allowed != r.Allowed {
		t.Errorf("allowed: %t, the reference's answer is %t, for %s", got.Allowed, r.Allowed, r.Pod)
		return
	}
	if !got.Allowed {
		return
	}
	if diff := cmp.Diff(sdktest.NormalisePod(t, r.Final, namespace), sdktest.NormalisePod(t, got.Object, namespace)); diff != "" {
		t.Errorf("of %s comes (-reference +gatefold):\n%s", r.Pod, diff)
	}
}

// review sends the pods of recordings through gatefold review, all at once.
func review(t *testing.T, gatefold, dir string, recordings []recording) []reviewed {
	t.Helper()
	var pods, cluster []any
	known := map[string]bool{}
	for _, r := range recordings {
		pods = append(pods, r.Pod)
		if sa := r.ServiceAccount; sa.Annotations != nil && !known[sa.Name] {
			known[sa.Name] = true
			cluster = append(cluster, map[string]any{
				"apiVersion": "v1", "kind": "ServiceAccount",
				"metadata": map[string]any{"name": sa.Name, "namespace": namespace, "annotations": sa.Annotations},
			})
		}
	}
	podFile, clusterFile := filepath.Join(dir, "pods.json"), filepath.Join(dir, "cluster.json")
	writeJSON(t, podFile, pods...)
	writeJSON(t, clusterFile, cluster...)

	cmd := exec.CommandContext(t.Context(), gatefold, "review", "--config", filepath.Join(dir, "gatefold.yaml"), "-f", podFile, "--objects", clusterFile, "-o", "json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	const denied = 1 // the exit code when some are refused, as some were by the reference
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != denied) {
		t.Fatalf("gatefold review: %v\n%s", err, &stderr)
	}
	var lines []reviewed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var line reviewed
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if len(lines) != len(recordings) {
		t.Fatalf("%d answers for %d pods\n%s", len(lines), len(recordings), &stderr)
	}
	return lines
}

// gate is a GatewayConfig with identity as its only backend.
func gate() map[string]any {
	return map[string]any{
		"apiVersion": "gatefold.dev/v1alpha1",
		"kind":       "GatewayConfig",
		"listen":     map[string]any{"address": "127.0.0.1:0", "clientAuth": map[string]any{"mode": "None"}},
		"backends": []any{map[string]any{
			"name": "identity", "type": "Mutator", "endpoint": "inproc://identity",
			"rules": []any{map[string]any{"operations": []string{"CREATE"}, "apiGroups": []string{""}, "apiVersions": []string{"v1"}, "resources": []string{"pods"}}},
		}},
	}
}

// read returns the recordings of a file by the name of the reference's settings.
func read(t *testing.T, file string) map[string][]recording {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recordings := map[string][]recording{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		recordings[r.Config] = append(recordings[r.Config], r)
	}
	return recordings
}

// writeJSON writes a stream of YAML documents, each as JSON.
func writeJSON(t *testing.T, file string, documents ...any) {
	t.Helper()
	var text bytes.Buffer
	for _, d := range documents {
		encoded, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "---\n%s\n", encoded)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
