// Package blame says which of several authors, one after another, added and removed which lines.
package blame

import (
	"strings"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// Op is what happened to a line.
type Op byte

// The operations, as a diff shows them.
const (
	Kept    Op = ' '
	Added   Op = '+'
	Removed Op = '-'
)

// Line is one line of the story.
type Line struct {
	Op Op
	// Text has no newline at its end.
	Text string
	// By is who added or removed the line; empty for a kept one.
	By string
}

// Version is what one author made of the text.
type Version struct {
	By   string
	Text string
}

// Lines tells the story from before over all versions: the kept and removed lines are the text
// before, the kept and added ones are the last version. A line that one author adds and a later one
// removes does not appear.
func Lines(before string, versions ...Version) []Line {
	var story []Line
	for _, text := range split(before) {
		story = append(story, Line{Op: Kept, Text: text})
	}
	current := split(before)
	for _, v := range versions {
		next := split(v.Text)
		story = replay(story, edits(current, next), next, v.By)
		current = next
	}
	return story
}

// replay lets one author's edits happen to the story so far. An edit counts the lines that are there
// at its time, which are those not removed before.
func replay(story []Line, edits []lcs.Diff, next []string, by string) []Line {
	var out []Line
	present := 0
	for _, line := range story {
		if line.Op == Removed {
			out = append(out, line)
			continue
		}
		for len(edits) > 0 && edits[0].End <= present {
			out, edits = insert(out, edits[0], next, by), edits[1:]
		}
		if len(edits) > 0 && edits[0].Start <= present {
			if line.Op == Kept {
				out = append(out, Line{Op: Removed, Text: line.Text, By: by})
			}
		} else {
			out = append(out, line)
		}
		present++
	}
	for _, e := range edits {
		out = insert(out, e, next, by)
	}
	return out
}

func insert(out []Line, e lcs.Diff, next []string, by string) []Line {
	for _, text := range next[e.ReplStart:e.ReplEnd] {
		out = append(out, Line{Op: Added, Text: text, By: by})
	}
	return out
}

// edits returns what turns before into after. Of the equally small ways, it takes the one in which
// insertions and deletions begin at the outermost line they can, so that a new list item is shown
// from its dash on and not from the middle of the item before.
func edits(before, after []string) []lcs.Diff {
	found := lcs.DiffLines(before, after)
	for i, e := range found {
		low, high := 0, len(before)
		if i > 0 {
			low = found[i-1].End
		}
		if i+1 < len(found) {
			high = found[i+1].Start
		}
		switch {
		case e.Start == e.End:
			by := slide(after, e.ReplStart, e.ReplEnd, e.Start-low, high-e.End)
			e.Start, e.End, e.ReplStart, e.ReplEnd = e.Start+by, e.End+by, e.ReplStart+by, e.ReplEnd+by
		case e.ReplStart == e.ReplEnd:
			by := slide(before, e.Start, e.End, e.Start-low, high-e.End)
			e.Start, e.End, e.ReplStart, e.ReplEnd = e.Start+by, e.End+by, e.ReplStart+by, e.ReplEnd+by
		}
		found[i] = e
	}
	return found
}

// slide says by how many lines the block lines[start:end] should move, at most up or down lines, so
// that it begins with the least indented line; of several, the last one. A block can move up by a line
// when the line above it equals its last one, and down when the line below equals its first one.
func slide(lines []string, start, end, up, down int) int {
	best, bestIndent := 0, indent(lines[start])
	for by := -1; by >= -up && lines[start+by] == lines[end+by]; by-- {
		if in := indent(lines[start+by]); in < bestIndent {
			best, bestIndent = by, in
		}
	}
	for by := 1; by <= down && lines[start+by-1] == lines[end+by-1]; by++ {
		if in := indent(lines[start+by]); in <= bestIndent {
			best, bestIndent = by, in
		}
	}
	return best
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// split returns the lines without their newlines.
func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
