package casetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/tree"
)

// Failure is one thing that came otherwise than it was wanted.
type Failure struct {
	// Field is the field of expect that was not met.
	Field string `json:"field"`
	// Want and Got are for people. Both are empty where there is a Diff.
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
	// Diff shows what is wanted (-) and what came (+), as lines of YAML.
	Diff string `json:"diff,omitempty"`
}

// compare says in what a result is not as it is expected.
func (e *Expect) compare(d *document, i int, r *review.Result) ([]Failure, error) {
	if e.Error != nil {
		if r.Verdict == review.Failed && strings.Contains(r.Err.Error(), *e.Error) {
			return nil, nil
		}
		want := "no verdict"
		if *e.Error != "" {
			want = fmt.Sprintf("no verdict, for an error with %q", *e.Error)
		}
		return []Failure{{Field: "error", Want: want, Got: verdict(r)}}, nil
	}
	if allowed := r.Verdict == review.Allowed; r.Verdict == review.Failed || allowed != *e.Allowed {
		want := "allowed"
		if !*e.Allowed {
			want = "denied"
			if texts := e.messages(); len(texts) > 0 {
				want += ": " + strings.Join(texts, "\n")
			}
		}
		return []Failure{{Field: "allowed", Want: want, Got: verdict(r)}}, nil // the rest follows from it
	}
	var all []Failure
	all = append(all, e.compareDenials(r)...)
	if e.Warnings != nil && !same(e.Warnings, r.Warnings) {
		all = append(all, Failure{Field: "warnings", Want: list(e.Warnings), Got: list(r.Warnings)})
	}
	for _, key := range slices.Sorted(maps.Keys(e.AuditAnnotations)) {
		want := e.AuditAnnotations[key]
		if got, there := annotation(r.AuditAnnotations, key); !there || got != want {
			if !there {
				got = "none of this key; there are: " + list(slices.Sorted(maps.Keys(r.AuditAnnotations)))
			}
			all = append(all, Failure{Field: "auditAnnotations." + key, Want: want, Got: got})
		}
	}
	if e.Patch != nil {
		failure, err := comparePatch(d.at("cases", i, "expect", "patch"), r)
		if err != nil {
			return nil, err
		}
		all = append(all, failure...)
	}
	return all, nil
}

func (e *Expect) compareDenials(r *review.Result) []Failure {
	var all []Failure
	got := r.Denials()
	if texts := e.messages(); texts != nil && !same(texts, got) {
		field := "message"
		if e.Messages != nil {
			field = "messages"
		}
		all = append(all, Failure{Field: field, Want: list(texts), Got: list(got)})
	}
	if code := r.Status.GetCode(); e.Code != 0 && code != e.Code {
		all = append(all, Failure{Field: "code", Want: fmt.Sprint(e.Code), Got: fmt.Sprint(code)})
	}
	if reason := r.Status.GetReason(); e.Reason != "" && reason != e.Reason {
		all = append(all, Failure{Field: "reason", Want: e.Reason, Got: reason})
	}
	return all
}

// messages are the denials that are wanted; nil where any will do.
func (e *Expect) messages() []string {
	if e.Message != "" {
		return []string{e.Message}
	}
	return e.Messages
}

// verdict says what became of a request.
func verdict(r *review.Result) string {
	switch r.Verdict {
	case review.Allowed:
		return "allowed"
	case review.Denied:
		return "denied: " + strings.Join(r.Denials(), "\n")
	default:
		return "no verdict: " + r.Err.Error()
	}
}

func list(texts []string) string {
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, "\n")
}

// same tells whether got are the texts of want, in any order, each the whole of it or its end after ": ". The
// longest of want choose first, since what they fit shorter ones fit as well.
func same(want, got []string) bool {
	if len(want) != len(got) {
		return false
	}
	left := slices.Clone(got)
	for _, text := range slices.SortedStableFunc(slices.Values(want), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) {
		at := slices.IndexFunc(left, func(g string) bool { return g == text || strings.HasSuffix(g, ": "+text) })
		if at < 0 {
			return false
		}
		left = slices.Delete(left, at, at+1)
	}
	return true
}

// annotation finds an audit annotation by its key: the gate's, or what its backend called it. The gate puts the
// backend's name, in which there is no dot, and a dot in front, and writes a slash as an underscore.
func annotation(all map[string]string, key string) (value string, there bool) {
	if value, there = all[key]; there {
		return value, true
	}
	wanted := strings.ReplaceAll(key, "/", "_")
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if _, own, _ := strings.Cut(k, "."); own == wanted {
			return all[k], true
		}
	}
	return "", false
}

func comparePatch(want *tree.Node, r *review.Result) ([]Failure, error) {
	data, err := review.PatchJSON(r.Patch)
	if err != nil {
		return nil, err
	}
	got, err := tree.ParseJSON(data)
	if err != nil {
		return nil, fmt.Errorf("reading the patch: %w", err)
	}
	if equal(want, got) {
		return nil, nil
	}
	text, err := diff(want, got)
	return []Failure{{Field: "patch", Diff: text}}, err
}

// compareObject compares the object that came out with what was wanted.
func compareObject(want, got *tree.Node) ([]Failure, error) {
	if equal(want, got) {
		return nil, nil
	}
	text, err := diff(want, got)
	return []Failure{{Field: "object", Diff: text}}, err
}
