package render

import (
	"bytes"
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/cli/internal/blame"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	sdktest.Golden(t, filepath.Join("testdata", name), got, *update)
}

const before = `apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: team-a
spec:
  containers:
  - name: app
    image: registry.example.com/team-a/web:1.0
    resources:
      limits:
        cpu: 100m
  serviceAccountName: web
`

func story() []blame.Line {
	labels := strings.Replace(before, "spec:", "  labels:\n    team: a\nspec:", 1)
	image := strings.Replace(labels, "registry.example.com", "mirror.example.com", 1)
	long := image + "  volumes:\n  - name: aws-iam-token\n    note: " + strings.Repeat("very ", 20) + "long\n"
	return blame.Lines(before, blame.Version{By: "labels", Text: labels}, blame.Version{By: "registry-mirror", Text: image}, blame.Version{By: "identity", Text: long})
}

func TestDiff(t *testing.T) {
	for name, style := range map[string]Style{
		"diff.txt":       {Width: 100},
		"diff-60.txt":    {Width: 60},
		"diff-color.txt": {Width: 100, Color: true},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Diff(&b, style, story()); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.String())
		})
	}
}

func TestDiffOfNothing(t *testing.T) {
	var b bytes.Buffer
	if err := Diff(&b, Style{}, blame.Lines(before)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("unchanged\n", b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWaterfall(t *testing.T) {
	zero := time.Unix(0, 0)
	span := func(id, parent, service, name string, start, end float64) Span {
		at := func(ms float64) time.Time { return zero.Add(time.Duration(ms * float64(time.Millisecond))) }
		return Span{ID: id, Parent: parent, Service: service, Name: name, Start: at(start), End: at(end)}
	}
	spans := []Span{
		span("6", "4", "validator", "Validate", 9, 10),
		span("1", "outside", "kubectl", "create pod/web", 0, 12.34),
		span("2", "1", "gate", "POST /mutate", 1, 6),
		span("3", "2", "mutator", "Mutate identity", 2, 5.5),
		span("4", "1", "gate", "POST /validate", 7, 12),
		span("5", "2", "mutator", "Mutate labels", 2.1, 2.101),
		span("7", "lost", "gate", "an orphan", 11, 12),
		span("8", "2", "gate", "too short to be shown", 1, 1.1),
		span("9", "2", "gate", "short, but failed", 1.2, 1.3),
	}
	spans[8].Error = "x"
	spans[3].Error = "context deadline\nexceeded\x1b[2J"
	for name, style := range map[string]Style{
		"waterfall.txt":       {Width: 90},
		"waterfall-40.txt":    {Width: 40},
		"waterfall-color.txt": {Width: 90, Color: true},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Waterfall(&b, style, spans); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.String())
		})
	}
}

func TestStyleFor(t *testing.T) {
	var b bytes.Buffer
	if StyleFor(&b, "auto").Color || StyleFor(&b, "never").Color || !StyleFor(&b, "always").Color {
		t.Error("a buffer is coloured by auto or never, or is not by always")
	}
}
