package render

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/gatefold/gatefold/cli/internal/blame"
)

// contextLines is how many unchanged lines are shown around a change, as diff -u does.
const contextLines = 3

// Diff writes the changed parts of the story with the author beside each changed line, in a column
// that is the same for the whole story; "unchanged" when there are none. It returns w's first error.
func Diff(w io.Writer, style Style, story []blame.Line) error {
	hunks := blame.Hunks(story, contextLines)
	if len(hunks) == 0 {
		_, err := fmt.Fprintln(w, style.Paint(Dim, "unchanged"))
		return err
	}
	d := diff{style: style, column: column(style, hunks), colors: map[string]string{}}
	var b strings.Builder
	for _, h := range hunks {
		b.WriteString(d.header(h))
		for _, line := range h.Lines {
			b.WriteString(d.line(line))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type diff struct {
	style  Style
	column int               // where the authors' names begin
	colors map[string]string // of the authors, by order of appearance
}

func (d *diff) header(h blame.Hunk) string {
	at := fmt.Sprintf("@@ -%d,%d +%d,%d @@", h.OldStart, h.OldLines, h.NewStart, h.NewLines)
	out := d.style.Paint(Cyan, at)
	if h.Section != "" {
		out += " " + d.style.Paint(Dim, h.Section)
	}
	return out + "\n"
}

func (d *diff) line(l blame.Line) string {
	text := string(l.Op) + l.Text
	if l.Op == blame.Kept {
		return strings.TrimRight(text, " ") + "\n"
	}
	color := Green
	if l.Op == blame.Removed {
		color = Red
	}
	gap := max(2, d.column-utf8.RuneCountInString(text))
	return d.style.Paint(color, text) + strings.Repeat(" ", gap) + d.style.Paint(d.authorColor(l.By), l.By) + "\n"
}

// authorColor gives every author a colour of its own, as long as there are some; green and red say
// what happened to a line.
func (d *diff) authorColor(by string) string {
	if c, known := d.colors[by]; known {
		return c
	}
	palette := []string{Yellow, Cyan, Purple, Blue, Bold}
	d.colors[by] = palette[len(d.colors)%len(palette)]
	return d.colors[by]
}

// column finds where the names begin: right of the longest changed line, unless that would push them
// out of the window; such lines have their name right behind them.
func column(style Style, hunks []blame.Hunk) int {
	longestText, longestName := 0, 0
	for _, h := range hunks {
		for _, l := range h.Lines {
			longestName = max(longestName, utf8.RuneCountInString(l.By))
		}
	}
	limit := max(40, style.width()-longestName)
	for _, h := range hunks {
		for _, l := range h.Lines {
			if n := utf8.RuneCountInString(l.Text) + 3; l.Op != blame.Kept && n <= limit {
				longestText = max(longestText, n)
			}
		}
	}
	return longestText
}
