package config

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	sdkconfig "github.com/gatefold/gatefold/sdk/config"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

var update = flag.Bool("update", false, "write what is said into testdata/*.golden")

// TestProblems reads the files in testdata and compares what is said about them with FILE.golden. A file
// with nothing wrong has an empty one.
func TestProblems(t *testing.T) {
	for _, file := range sdktest.Files(t, filepath.Join("testdata", "*.yaml")) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := ""
			if _, err := sdkconfig.Load[Config](file, sdkconfig.GatewayConfig); err != nil {
				got = err.Error() + "\n"
			}
			sdktest.Golden(t, strings.TrimSuffix(file, ".yaml")+".golden", got, *update)
		})
	}
}

func TestOrder(t *testing.T) {
	tests := map[string]struct {
		backends string // NAME or NAME<AFTER,AFTER, in the order of the file
		want     string
		err      string
	}{
		"by name":                {backends: "c a b", want: "a b c"},
		"after before name":      {backends: "a<c b c", want: "b c a"},
		"a chain":                {backends: "a<b b<c c d", want: "c b a d"},
		"two parents":            {backends: "a<b,c b c<d d", want: "b d c a"},
		"a cycle":                {backends: "a<b b<a c", err: "these backends wait for each other, so none can be first: a, b"},
		"itself":                 {backends: "a<a", err: "none can be first: a"},
		"nobody":                 {backends: "a<x", err: "must be the name of another backend of type Mutator"},
		"nothing but validators": {backends: "", want: ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var backends []Backend
			for entry := range strings.FieldsSeq(test.backends) {
				name, after, _ := strings.Cut(entry, "<")
				b := Backend{Name: name, Type: Mutator}
				if after != "" {
					b.After = strings.Split(after, ",")
				}
				backends = append(backends, b)
			}
			order, errs := Order(backends, Mutator)
			if (len(errs) > 0) != (test.err != "") || len(errs) > 0 && !strings.Contains(errs.ToAggregate().Error(), test.err) {
				t.Fatalf("errors are %v, want %q", errs, test.err)
			}
			var names []string
			for _, i := range order {
				names = append(names, backends[i].Name)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("order is %q, want %q", got, test.want)
			}
		})
	}
}
