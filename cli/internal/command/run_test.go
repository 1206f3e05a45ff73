package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var runArgs = []string{"run", "--config", configFile, "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"}

// unstable finds what differs from one run to the next: ports, and the trace, which is a matter of time.
var unstable = regexp.MustCompile(`127\.0\.0\.1:\d+|(?m)^(?:client|gateway|mutator|validator)? +(?:[│├└ ]*[\w.]+.* ms|and \d+ shorter steps?)\n`)

func TestRunOnce(t *testing.T) {
	stdout, stderr, code := execute(t, "", append(runArgs, "--once")...)
	for _, service := range []string{"client ", "gateway ", "mutator ", "validator "} {
		if !strings.Contains(stdout, "\n"+service) {
			t.Errorf("no span of the %s in\n%s", service, stdout)
		}
	}
	golden(t, "run-once", unstable.ReplaceAllStringFunc(stdout, func(s string) string {
		if strings.HasPrefix(s, "127.0.0.1:") {
			return "127.0.0.1:PORT"
		}
		return ""
	}), stderr, code)
}

// TestRunFolder: examples of one name, or of none, have a file each, and ImageReviews are posted as they are.
func TestRunFolder(t *testing.T) {
	folder := t.TempDir()
	reviews := filepath.Join(folder, "reviews.yaml")
	text := strings.Repeat("apiVersion: imagepolicy.k8s.io/v1alpha1\nkind: ImageReview\nspec: {namespace: shop, containers: [{image: docker.io/N}]}\n---\n", 2)
	if err := os.WriteFile(reviews, []byte(strings.Replace(text, "/N", "/first", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := execute(t, "", "run", "--config", "testdata/images.yaml", "-f", reviews, "--once", "--folder", folder, "--admin-address", "127.0.0.1:0")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for name, image := range map[string]string{"": "docker.io/first", "-2": "docker.io/N"} {
		review, err := os.ReadFile(filepath.Join(folder, "imagereview.imagepolicy.k8s.io"+name+".json"))
		if err != nil || !strings.Contains(string(review), image) || strings.Contains(string(review), "AdmissionReview") {
			t.Errorf("%v: %s, want the ImageReview of %s", err, review, image)
		}
	}
}

// TestRunServes does what the report invites to: it posts the reviews as the curl lines say, and then
// stops the program as Ctrl-C does.
func TestRunServes(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, logs buffer
	done := make(chan int, 1)
	go func() { done <- Execute(ctx, Streams{In: strings.NewReader(""), Out: &out, Err: &logs}, runArgs) }()
	for !strings.Contains(out.String(), "Ctrl-C to stop") {
		select {
		case code := <-done:
			t.Fatalf("exit code %d\n%s%s", code, out.String(), logs.String())
		case <-time.After(5 * time.Millisecond):
		}
	}

	curl := regexp.MustCompile(`curl --cacert (\S+) -H 'Content-Type: application/json' --data-binary @(\S+) '(\S+)'`)
	lines := curl.FindAllStringSubmatch(out.String(), -1)
	if len(lines) != 2 {
		t.Fatalf("%d curl lines in\n%s", len(lines), out.String())
	}
	for i, want := range []string{`"allowed":true`, `"allowed":false`} {
		if answer := post(t, lines[i][1], lines[i][2], lines[i][3]); !strings.Contains(answer, want) {
			t.Errorf("%s answers %s", lines[i][3], answer)
		}
	}

	interrupt()
	if code := <-done; code != 0 || logs.String() != "" {
		t.Errorf("exit code %d, log %q", code, logs.String())
	}
	if _, err := os.Stat(lines[0][1]); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", lines[0][1], err)
	}
}

// TestRunTellsOfReloads: a change of the configuration is answered on standard error, reviews are not.
func TestRunTellsOfReloads(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	folder := t.TempDir()
	for _, part := range []string{"examples", "deploy/policies"} {
		if err := os.CopyFS(filepath.Join(folder, part), os.DirFS(filepath.Join("../../..", part))); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(folder, "examples", "gatefold.yaml")
	var out, logs buffer
	done := make(chan int, 1)
	go func() {
		done <- Execute(ctx, Streams{In: strings.NewReader(""), Out: &out, Err: &logs},
			[]string{"run", "--config", file, "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"})
	}()
	changed := false
	for !strings.Contains(logs.String(), `level=INFO msg="configuration reloaded"`) {
		if !changed && strings.Contains(out.String(), "Ctrl-C to stop") {
			changed = true
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, append(data, "# changed\n"...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case code := <-done:
			t.Fatalf("exit code %d\n%s%s", code, out.String(), logs.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	interrupt()
	if code := <-done; code != 0 || strings.Contains(logs.String(), "msg=decided") {
		t.Errorf("exit code %d, log\n%s", code, logs.String())
	}
}

func TestRunWithoutFiles(t *testing.T) {
	absolute, err := filepath.Abs(configFile)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(absolute)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if _, stderr, code := execute(t, "", "run"); code != 2 || !strings.Contains(stderr, "no examples/gatefold.yaml in this folder; name the configuration with --config") {
		t.Errorf("no configuration: exit code %d, %s", code, stderr)
	}
	if err := os.WriteFile("gatefold.yaml", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := execute(t, "", "run", "--config", "gatefold.yaml"); code != 2 || !strings.Contains(stderr, "no folder objects beside the configuration; name objects with -f") {
		t.Errorf("no objects: exit code %d, %s", code, stderr)
	}
}

// TestClosedPipe: that nobody reads on ends the program without a word, and it cleans up.
func TestClosedPipe(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var logs bytes.Buffer
	code := Execute(t.Context(), Streams{In: strings.NewReader(""), Out: closed{}, Err: &logs}, append(runArgs, "--once"))
	left, err := os.ReadDir(temporary)
	if code != 141 || logs.String() != "" || len(left) != 0 || err != nil {
		t.Errorf("exit code %d, log %q, left behind %v, %v", code, logs.String(), left, err)
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

func post(t *testing.T, caFile, dataFile, url string) string {
	t.Helper()
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(dataFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestRunCannotListen(t *testing.T) {
	stdout, stderr, code := execute(t, "", "run", "--config", configFile, "--address", "256.0.0.1:1", "--once")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "choose another address with --address") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// buffer can be read while somebody writes to it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
