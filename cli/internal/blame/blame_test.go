package blame

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const pod = `kind: Pod
spec:
  containers:
  - name: app
    volumeMounts:
    - mountPath: /data
      readOnly: true
    - mountPath: /tmp
      readOnly: true
`

func TestLines(t *testing.T) {
	cases := map[string]struct {
		versions []Version
		want     []string // "+by text"
	}{
		"nothing": {nil, nil},
		"a new list item is whole": {
			[]Version{{"identity", pod + "    - mountPath: /var\n      readOnly: true\n"}},
			[]string{"+identity     - mountPath: /var", "+identity       readOnly: true"},
		},
		"a list item in the middle goes whole": {
			[]Version{{"x", strings.Replace(pod, "    - mountPath: /data\n      readOnly: true\n", "", 1)}},
			[]string{"-x     - mountPath: /data", "-x       readOnly: true"},
		},
		"two authors": {
			[]Version{{"a", pod + "a: 1\n"}, {"b", "b: 1\n" + pod + "a: 1\n"}},
			[]string{"+b b: 1", "+a a: 1"},
		},
		"the later author of a line has it": {
			[]Version{{"a", pod + "a: 1\n"}, {"b", pod + "a: 2\n"}},
			[]string{"+b a: 2"},
		},
		"who removed and who replaced": {
			[]Version{{"a", strings.Replace(pod, "Pod", "Job", 1)}, {"b", strings.Replace(pod, "Pod", "Cat", 1)}},
			[]string{"-a kind: Pod", "+b kind: Cat"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, l := range Lines(pod, tc.versions...) {
				if l.Op != Kept {
					got = append(got, string(l.Op)+l.By+" "+l.Text)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("changed lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStory: kept and removed lines are the text before, kept and added ones are the last version,
// and every change is by somebody who exists.
func TestStory(t *testing.T) {
	text := rapid.Map(rapid.SliceOf(rapid.StringMatching(` {0,3}-? ?[abc]`)), func(lines []string) string {
		return strings.Join(append(lines, ""), "\n")
	})
	rapid.Check(t, func(t *rapid.T) {
		before := text.Draw(t, "before")
		var versions []Version
		after := before
		for i := range rapid.IntRange(0, 4).Draw(t, "authors") {
			after = text.Draw(t, "version")
			versions = append(versions, Version{By: string(rune('A' + i)), Text: after})
		}
		story := Lines(before, versions...)
		gotBefore, gotAfter := sides(story)
		if diff := cmp.Diff(before, gotBefore); diff != "" {
			t.Fatalf("before (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(after, gotAfter); diff != "" {
			t.Fatalf("after (-want +got):\n%s", diff)
		}
		for _, l := range story {
			if (l.Op == Kept) != (l.By == "") {
				t.Fatalf("line %q is %q by %q", l.Text, l.Op, l.By)
			}
		}
	})
}

func sides(story []Line) (before, after string) {
	for _, l := range story {
		if l.Op != Added {
			before += l.Text + "\n"
		}
		if l.Op != Removed {
			after += l.Text + "\n"
		}
	}
	return before, after
}

func TestHunks(t *testing.T) {
	after := strings.Replace(pod, "/tmp", "/var", 1) + "status: {}\n"
	got := Hunks(Lines(pod, Version{"x", after}), 1)
	want := []Hunk{{
		OldStart: 7, OldLines: 3, NewStart: 7, NewLines: 4, Section: "spec.containers.volumeMounts",
		Lines: []Line{
			{Kept, "      readOnly: true", ""},
			{Removed, "    - mountPath: /tmp", "x"},
			{Added, "    - mountPath: /var", "x"},
			{Kept, "      readOnly: true", ""},
			{Added, "status: {}", "x"},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hunks (-want +got):\n%s", diff)
	}
	if got := Hunks(Lines(pod), 3); got != nil {
		t.Errorf("hunks of no change: %v", got)
	}
	two := Hunks(Lines(pod, Version{"x", "a: 1\n" + pod + "z: 1\n"}), 2)
	if len(two) != 2 || two[1].OldStart != 8 || two[1].NewStart != 9 {
		t.Errorf("changes far apart give %+v", two)
	}
}
