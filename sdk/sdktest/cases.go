package sdktest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	kubeyaml "sigs.k8s.io/yaml"
)

// Cases calls run for each YAML document in the files that match pattern, decoded into a T by its JSON tags, as
// a test of its own, called by the document's name: T has a field for it. A field that T does not have fails the
// test, and so does a document that is empty, or a pattern that matches nothing.
func Cases[T any](t *testing.T, pattern string, run func(t *testing.T, tc T)) {
	t.Helper()
	for _, file := range Files(t, pattern) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		group := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
			var document map[string]any // decoded alone, since anchors are
			if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if document == nil {
				t.Fatalf("%s has an empty document", file)
			}
			text, err := yaml.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := document["name"].(string)
			var tc T
			if err := kubeyaml.UnmarshalStrict(text, &tc); err != nil {
				t.Fatalf("%s: %s: %v in\n%s", file, name, err, text)
			}
			t.Run(group+"/"+name, func(t *testing.T) { run(t, tc) })
		}
	}
}

// Files returns the files that match pattern, at least one.
func Files(tb testing.TB, pattern string) []string {
	tb.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		tb.Fatalf("no files in %s: %v", pattern, err)
	}
	return files
}
