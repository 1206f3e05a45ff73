package command

import (
	"bytes"
	"flag"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatefold/gatefold/sdk/sdktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	examples   = "../../../examples"
	configFile = examples + "/gatefold.yaml"
)

// duration finds what differs from one run to the next.
var duration = regexp.MustCompile(`("durationMs": ?|time=")[0-9.]+`)

// golden compares what a command wrote, both streams and the exit code, with a file.
func golden(t *testing.T, name, stdout, stderr string, code int) {
	t.Helper()
	got := duration.ReplaceAllString(stdout, `${1}0`) + "--- stderr, exit code " + string(rune('0'+code)) + "\n" + stderr
	sdktest.Golden(t, filepath.Join("testdata", name+".golden"), got, *update)
}

func execute(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = Execute(t.Context(), Streams{In: strings.NewReader(stdin), Out: &out, Err: &err, Version: "v1.2.3"}, args)
	return out.String(), err.String(), code
}

// TestReview runs the real gate, mutators and validators in this process.
func TestReview(t *testing.T) {
	cases := map[string]struct {
		stdin string
		args  []string
	}{
		"examples-diff":  {args: []string{"--config", configFile, "-f", examples + "/objects"}},
		"examples-yaml":  {args: []string{"--config", configFile, "-f", examples + "/objects", "-o", "yaml"}},
		"examples-json":  {args: []string{"--config", configFile, "-f", examples + "/objects", "-o", "json"}},
		"examples-patch": {args: []string{"--config", configFile, "-f", examples + "/objects", "-o", "patch"}},
		"colors":         {args: []string{"--config", configFile, "-f", examples + "/objects/4-deployment.yaml", "--objects", examples + "/objects/1-team.yaml", "--color", "always"}},
		"allowed":        {args: []string{"--config", configFile, "-f", examples + "/objects/1-team.yaml"}},
		"delete":         {args: []string{"--config", configFile, "-f", examples + "/objects/2-good-pod.yaml", "--operation", "DELETE", "-o", "yaml"}},
		"update":         {args: []string{"--config", configFile, "-f", examples + "/objects/4-deployment.yaml", "--objects", examples + "/objects", "--operation", "update"}},
		"update-no-old":  {args: []string{"--config", configFile, "-f", examples + "/objects/4-deployment.yaml", "--objects", examples + "/objects/1-team.yaml", "--operation", "UPDATE", "-o", "patch"}},
		"wrong-version": {
			stdin: "apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n",
			args:  []string{"--config", "testdata/away.yaml", "-f", "-", "--as", "jane", "-o", "patch"},
		},
		"stdin-namespace-assumed": {
			stdin: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"serviceAccountName":"nobody","containers":[]}}`,
			args:  []string{"--config", configFile, "-f", "-", "-n", "elsewhere", "-o", "yaml"},
		},
		"production-file": {args: []string{"--config", "testdata/away.yaml", "-f", "testdata/pod.yaml", "--as", "jane"}},
		"folding-diff":    {args: []string{"--config", "testdata/folding.yaml", "-f", "testdata/pod.yaml"}},
		"folding-json":    {args: []string{"--config", "testdata/folding.yaml", "-f", "testdata/pod.yaml", "-o", "json"}},
		"guessed": {
			stdin: "apiVersion: example.com/v1\nkind: Policy\nmetadata: {name: a}\n",
			args:  []string{"--config", "testdata/away.yaml", "-f", "-", "--as", "jane", "-o", "patch"},
		},
		"images":          {args: []string{"--config", "testdata/images.yaml", "-f", "testdata/images-reviews.yaml", "--objects", examples + "/objects/1-team.yaml", "-n", "prod"}},
		"images-updated":  {args: []string{"--config", "testdata/images.yaml", "-f", "testdata/images-reviews.yaml", "--operation", "UPDATE", "-o", "json"}},
		"no-files":        {args: []string{"--config", configFile}},
		"no-objects":      {stdin: "# nothing\n", args: []string{"--config", configFile, "-f", "-"}},
		"no-config":       {args: []string{"-f", "testdata/pod.yaml"}},
		"missing-config":  {args: []string{"-f", "testdata/pod.yaml", "--config", "testdata/nowhere.yaml"}},
		"bad-config":      {args: []string{"-f", "testdata/pod.yaml", "--config", "testdata/bad-config.yaml"}},
		"bad-policy":      {args: []string{"-f", "testdata/pod.yaml", "--config", "testdata/bad-policy.yaml"}},
		"broken-config":   {args: []string{"-f", "testdata/pod.yaml", "--config", "testdata/broken-config.yaml"}},
		"bad-expression":  {args: []string{"-f", "testdata/pod.yaml", "--config", "testdata/bad-expression.yaml"}},
		"bad-manifest":    {stdin: "apiVersion: v1\nkind: Pod\n", args: []string{"--config", configFile, "-f", "-", "-f", "testdata/nowhere.yaml"}},
		"bad-api-version": {stdin: "apiVersion: a/b/c\nkind: Pod\nmetadata: {name: a}\n", args: []string{"--config", "testdata/away.yaml", "-f", "-"}},
		"bad-object":      {stdin: "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: [x]}\n", args: []string{"--config", configFile, "-f", "-"}},
		"bad-flag":        {args: []string{"--colour", "always"}},
		"bad-flag-value":  {args: []string{"--color", "red", "-f", "x"}},
		"bad-output":      {args: []string{"-o", "xml", "-f", "x"}},
		"bad-operation":   {args: []string{"--config", configFile, "-f", "testdata/pod.yaml", "--operation", "CONNECT"}},
		"bad-argument":    {args: []string{"testdata/pod.yaml"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := execute(t, tc.stdin, append([]string{"review"}, tc.args...)...)
			golden(t, "review-"+name, stdout, stderr, code)
		})
	}
}

// TestReviewedIsStable: what came out goes through again and comes out the same.
func TestReviewedIsStable(t *testing.T) {
	args := []string{"review", "--config", configFile, "--objects", examples + "/objects/1-team.yaml", "-o", "yaml", "-f"}
	first, _, code := execute(t, "", append(args, examples+"/objects/2-good-pod.yaml")...)
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	second, _, code := execute(t, first, append(args, "-")...)
	if diff := cmp.Diff(first, second); diff != "" || code != 0 {
		t.Errorf("exit code %d (-first +second):\n%s", code, diff)
	}
}

func TestCheck(t *testing.T) {
	for name, file := range map[string]string{
		"good":       configFile,
		"bad-config": "testdata/bad-config.yaml",
		"bad-policy": "testdata/bad-policy.yaml",
		"unserved":   "testdata/unserved.yaml",
		"validator":  "testdata/only-validator.yaml",
		"mutator":    "testdata/only-mutator.yaml",
		"bad-label":  "testdata/only-bad-mutator.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := execute(t, "", "check", "--config", file)
			golden(t, "check-"+name, stdout, stderr, code)
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	if stdout, _, code := execute(t, "", "version"); code != 0 || !strings.HasPrefix(stdout, "gatefold v1.2.3 ") {
		t.Errorf("version: %q, exit code %d", stdout, code)
	}
	if stdout, _, code := execute(t, "", "--version"); code != 0 || !strings.HasPrefix(stdout, "gatefold v1.2.3 ") {
		t.Errorf("--version: %q, exit code %d", stdout, code)
	}
	for name, args := range map[string][]string{
		"help":        {"--help"},
		"help-review": {"review", "--help"},
		"help-run":    {"run", "--help"},
		"help-test":   {"test", "--help"},
		"unknown":     {"rewiev"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := execute(t, "", args...)
			golden(t, name, stdout, stderr, code)
		})
	}
}
