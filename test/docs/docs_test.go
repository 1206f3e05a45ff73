package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogLines(t *testing.T) {
	told, err := readTelling("testdata/source", "source")
	if err != nil {
		t.Fatal(err)
	}
	want := []logLine{
		{From: "source", Message: "plain", Level: "WARN", Fields: []string{"error"}},
		{From: "source", Message: "with context", Level: "INFO", Fields: []string{"file", "count"}},
		{From: "source", Message: "attributes", Level: "ERROR", Fields: []string{"uid", "error"}},
		{From: "source", Message: "some level"},
		{From: "source", Message: "a list", Level: "INFO", Fields: []string{"uid", "error"}},
	}
	if diff := cmp.Diff(want, told.lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := slices.Sorted(maps.Keys(told.names)); !slices.Equal(got, []string{"gatefold.seen"}) {
		t.Errorf("names are %q", got)
	}
}

func TestComments(t *testing.T) {
	docs, err := readComments("testdata/source")
	if err != nil {
		t.Fatal(err)
	}
	want := comments{"Thing": {
		doc:    "Thing is\ndocumented.\n",
		fields: map[string]string{"A": "A comes first.\n", "B": "A comes first.\n", "C": ""},
	}}
	if diff := cmp.Diff(want, docs, cmp.AllowUnexported(typeDocs{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMeaning(t *testing.T) {
	names := map[string]string{"CAFile": "`caFile`", "Mode": "`mode`"}
	for comment, want := range map[string]string{
		"Mode is None or absent.":       "None or absent.",
		"Mode says\nmore, as CAFile.\n": "`mode` says more, as `caFile`.",
		"Modern | other.":               `Modern \| other.`,
	} {
		if got := meaning(prose(comment, names), "`mode`"); got != want {
			t.Errorf("of %q it made %q, want %q", comment, got, want)
		}
	}
}

// TestWords describes one thing too few and one too many.
func TestWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "words.yaml")
	if err := os.WriteFile(file, []byte("spans: {decode: reading, gone: nothing}"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := readWords(file)
	if err != nil {
		t.Fatal(err)
	}
	w.of("spans", "decode")
	if err := w.check(); err == nil || !strings.Contains(err.Error(), `"spans: gone" is described, but`) || strings.Contains(err.Error(), "decode") {
		t.Errorf("what is described for nothing gave %v", err)
	}
	w.of("spans", "gone")
	if err := w.check(); err != nil {
		t.Errorf("all described and all used gave %v", err)
	}
	w.of("spans", "new")
	if err := w.check(); err == nil || !strings.Contains(err.Error(), `"spans: new" is not described`) {
		t.Errorf("what is not described gave %v", err)
	}
}

func TestCompare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := compare(t.Context(), file, []byte("new\n")); err == nil {
		t.Error("a page that is not there is current")
	}
	if err := os.WriteFile(file, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compare(t.Context(), file, []byte("new\n")); err == nil || !strings.Contains(err.Error(), "-old\n+new\n") {
		t.Errorf("a stale page gave %v", err)
	}
	if err := compare(t.Context(), file, []byte("old\n")); err != nil {
		t.Errorf("a current page gave %v", err)
	}
}
