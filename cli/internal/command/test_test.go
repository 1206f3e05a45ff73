package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/status"

	"github.com/gatefold/gatefold/cli/internal/exit"
)

const tests = "testdata/test"

// TestTest runs test files through the real gate, mutators and validators.
func TestTest(t *testing.T) {
	failing := tests + "/failing"
	cases := map[string][]string{
		"passing":           {tests + "/passing"},
		"failing":           {failing},
		"failing-json":      {failing, "-o", "json"},
		"failing-junit":     {failing, "-o", "junit"},
		"failing-only":      {tests + "/passing", failing, "--fail-only", "--run", "passing/.*denied|failing/.*(passes|error)$"},
		"failing-colors":    {failing, "--color", "always", "--run", "passes|another patch"},
		"run":               {tests + "/passing", failing, "--run", `passing/requests_test\.yaml/a .*scale|a webhook`},
		"run-json":          {tests + "/passing/gate_test.json", "-o", "json", "--run", "/denied$"},
		"run-junit":         {tests + "/passing", "-o", "junit", "--fail-only", "--run", "gate_test"},
		"broken-unsaid":     {tests + "/broken/unsaid_test.yaml"},
		"broken-another":    {tests + "/broken/another_test.yaml"},
		"broken-empty":      {tests + "/broken/empty_test.yaml"},
		"broken-fields":     {tests + "/broken/fields_test.yaml"},
		"broken-files":      {tests + "/broken/files_test.yaml"},
		"broken-kinds":      {tests + "/broken/kinds_test.yaml"},
		"broken-meaning":    {tests + "/broken/meaning_test.yaml"},
		"broken-syntax":     {tests + "/broken/syntax_test.yaml"},
		"broken-policies":   {tests + "/broken/policies_test.yaml"},
		"broken-json":       {tests + "/broken/policies_test.yaml", tests + "/broken/syntax_test.yaml", "-o", "json"},
		"broken-junit":      {tests + "/broken/policies_test.yaml", tests + "/broken/syntax_test.yaml", "-o", "junit"},
		"broken-and-good":   {tests + "/broken/syntax_test.yaml", tests + "/passing/gate_test.json"},
		"notes":             {tests + "/notes"},
		"nothing-selected":  {tests + "/passing", "--run", "no such case"},
		"nothing-of-one":    {tests + "/passing/gate_test.json", "--run", "no such case"},
		"nothing-found":     {"testdata/bad-policy"},
		"no-such-path":      {tests + "/nowhere"},
		"not-by-its-name":   {tests + "/rules.yaml"},
		"bad-run":           {tests, "--run", "("},
		"bad-test-output":   {tests, "-o", "yaml"},
		"bad-color-of-test": {tests, "--color", "red"},
	}
	for name, args := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := execute(t, "", append([]string{"test"}, args...)...)
			golden(t, "test-"+name, stdout, stderr, code)
		})
	}
}

// TestTestOfThisFolder: without a PATH it is the folder one is in.
func TestTestOfThisFolder(t *testing.T) {
	t.Chdir(filepath.Join(tests, "passing"))
	stdout, stderr, code := execute(t, "", "test", "--run", "gate_test.json/denied")
	if want := "PASS  gate_test.json  denied\n1 case in 1 file: 1 passed, 0 failed\n"; stdout != want || stderr != "" || code != 0 {
		t.Errorf("exit code %d, %q, stderr %q", code, stdout, stderr)
	}
}

const updating = `
apiVersion: gatefold.dev/v1alpha1
kind: Test
mutator: {labels: {rules: [{set: {labels: {team: blue}}}]}}
cases:
- name: writes
  object: {apiVersion: v1, kind: Pod, metadata: {name: web, annotations: {"on": "yes"}}, spec: {priority: 1.0}}
  expect: {allowed: true, object: web.yaml}
- name: agrees
  object: {apiVersion: v1, kind: Pod, spec: {priority: 1}, metadata: {annotations: {"on": "yes"}, name: web}}
  expect: {allowed: true, object: web.yaml}
- name: differs
  object: {apiVersion: v1, kind: Pod, metadata: {name: other}}
  expect: {allowed: true, object: WHICH}
`

// TestUpdate writes golden files, and leaves alone those that are the same by value.
func TestUpdate(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	write("a_test.yaml", strings.ReplaceAll(updating, "WHICH", "other.yaml"))
	write("other.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: before}\n")

	if _, stderr, code := execute(t, "", "test"); code != 2 || !strings.Contains(stderr, "a_test.yaml:8: cases[0].expect.object: web.yaml does not exist; gatefold test --update writes it") {
		t.Errorf("without the file: exit code %d, stderr %q", code, stderr)
	}
	stdout, stderr, code := execute(t, "", "test", "--update")
	if code != 0 || stderr != "wrote other.yaml\nwrote web.yaml\n" {
		t.Errorf("update: exit code %d, stderr %q, %s", code, stderr, stdout)
	}
	want := `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    "on": "yes"
  labels:
    team: blue
spec:
  priority: 1.0
`
	if diff := cmp.Diff(want, read("web.yaml")); diff != "" {
		t.Errorf("web.yaml (-want +got):\n%s", diff)
	}
	if stdout, _, code := execute(t, "", "test"); code != 0 {
		t.Errorf("after the update: exit code %d, %s", code, stdout)
	}

	write("web.yaml", "# a comment\n"+read("web.yaml"))
	if _, stderr, code := execute(t, "", "test", "--update"); code != 0 || stderr != "" || !strings.HasPrefix(read("web.yaml"), "# a comment") {
		t.Errorf("update of what is the same: exit code %d, stderr %q, file %q", code, stderr, read("web.yaml"))
	}

	write("a_test.yaml", strings.ReplaceAll(updating, "WHICH", "web.yaml"))
	stdout, stderr, code = execute(t, "", "test", "--update")
	if code != 1 || stderr != "" || !strings.Contains(stdout, "FAIL  a_test.yaml  differs") {
		t.Errorf("two cases that want one file to be different: exit code %d, stderr %q, %s", code, stderr, stdout)
	}
	if err := os.Remove("web.yaml"); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code = execute(t, "", "test", "--update")
	if code != 1 || stderr != "wrote web.yaml\n" || !strings.Contains(stdout, "PASS  a_test.yaml  writes") {
		t.Errorf("the first of them writes it: exit code %d, stderr %q, %s", code, stderr, stdout)
	}
}

const updatingOthers = `
apiVersion: gatefold.dev/v1alpha1
kind: Test
mutator: {labels: {rules: [{set: {labels: {team: blue}}}]}}
cases:
- name: a file that cannot be written
  object: &pod {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {priority: 1.0}}
  expect: {allowed: true, object: dangling.yaml}
- name: JSON, in a new folder
  object: *pod
  expect: {allowed: true, object: new/folder/web.json}
- name: what is requested does not change
  object: pod.yaml
  expect: {allowed: true, object: pod.yaml}
`

// TestUpdateOthers: a file is written as what it is called, never over what is requested, and one that cannot be
// written breaks its case alone.
func TestUpdateOthers(t *testing.T) {
	t.Chdir(t.TempDir())
	const pod = "# as it was\napiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
	for name, content := range map[string]string{"a_test.yaml": updatingOthers, "pod.yaml": pod} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere/web.yaml", "dangling.yaml"); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := execute(t, "", "test", "--update")
	want := `ERROR a_test.yaml  a file that cannot be written
PASS  a_test.yaml  JSON, in a new folder
FAIL  a_test.yaml  what is requested does not change
`
	if !strings.Contains(stderr, "a_test.yaml:8: cases[0].expect.object: ") || code != 2 {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if diff := cmp.Diff(want, stdout[:min(len(want), len(stdout))]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{"pod.yaml": pod, "new/folder/web.json": `{
  "apiVersion": "v1",
  "kind": "Pod",
  "metadata": {
    "name": "web",
    "labels": {
      "team": "blue"
    }
  },
  "spec": {
    "priority": 1.0
  }
}
`} {
		got, err := os.ReadFile(name)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// TestInterrupted: who is stopped has no answer, and does not look as if the input were bad.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"test", tests + "/passing"},
		{"check", "--config", configFile},
		{"review", "--config", configFile, "-f", "../../../examples/objects"},
	} {
		t.Run(args[0], func(t *testing.T) {
			var out, err bytes.Buffer
			code := Execute(ctx, Streams{Out: &out, Err: &err}, args)
			if code != 130 || out.Len() > 0 || !strings.HasSuffix(err.String(), "gatefold: interrupted\n") {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, out.String(), err.String())
			}
		})
	}
}

// TestInterruptedOnly: what went wrong beside is not hidden by the interruption.
func TestInterruptedOnly(t *testing.T) {
	running := t.Context()
	stopped, cancel := context.WithCancel(running)
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		err  error
		want bool
	}{
		"a call that was canceled": {stopped, ended(fmt.Errorf("waiting: %w", status.FromContextError(stopped.Err()).Err())), true},
		"no answer":                {stopped, &exit.Error{Code: exit.Unanswered}, true},
		"a server that goes wrong": {stopped, ended(errors.New("sending the last spans: connection refused")), false},
		"nobody has stopped it":    {running, ended(context.Canceled), false},
	} {
		if got := interrupted(tc.ctx, tc.err); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
