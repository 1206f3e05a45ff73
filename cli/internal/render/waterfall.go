package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Span is one piece of work in a trace.
type Span struct {
	ID, Parent string
	Service    string
	Name       string
	Start, End time.Time
	// Error says why the work failed; empty when it did not.
	Error string
}

// minBar is the narrowest bar that still says something.
const minBar = 12

// minShare is the part of a trace, one in so many, below which a service's own steps are left out.
const minShare = 20

// Waterfall writes the spans of one trace as a tree, each with its service, a bar that shows when it
// happened, and its duration. Short steps within a service are left out and counted: what matters is
// where the time went, and what each service did. It returns w's first error.
func Waterfall(w io.Writer, style Style, spans []Span) error {
	rows, hidden := arrange(spans)
	if len(rows) == 0 {
		return nil
	}
	start, end := rows[0].Start, rows[0].End
	service, name := 0, 0
	for _, r := range rows {
		start, end = earlier(start, r.Start), later(end, r.End)
		service, name = max(service, utf8.RuneCountInString(r.Service)), max(name, utf8.RuneCountInString(r.label()))
	}
	const gaps, duration = 3 * 2, len("9999.9 ms")
	bar := max(minBar, min(60, style.width()-service-name-gaps-duration))
	var b strings.Builder
	for _, r := range rows {
		color := Blue
		if r.Error != "" {
			color = Red
		}
		left, length := extent(r.Span, start, end, bar)
		fmt.Fprintf(&b, "%s  %s  %s%s%s  %*s", style.Paint(Cyan, pad(r.Service, service)), pad(r.label(), name),
			strings.Repeat(" ", left), style.Paint(color, strings.Repeat("━", length)), strings.Repeat(" ", bar-left-length),
			duration, milliseconds(r.End.Sub(r.Start)))
		if r.Error != "" {
			b.WriteString("  " + style.Paint(Red, strings.ReplaceAll(Clean(r.Error), "\n", " ")))
		}
		b.WriteByte('\n')
	}
	if hidden > 0 {
		steps := "steps"
		if hidden == 1 {
			steps = "step"
		}
		fmt.Fprintf(&b, "%s  %s\n", pad("", service), style.Paint(Dim, fmt.Sprintf("and %d shorter %s", hidden, steps)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type row struct {
	Span
	indent string
}

func (r row) label() string { return r.indent + r.Name }

// arrange puts spans under their parents, by start. A span whose parent is not among them, because it
// belongs to somebody else or has not ended, stands at the outside. It also returns how many were too
// short to be shown.
func arrange(spans []Span) (rows []row, hidden int) {
	byID := map[string]Span{}
	var longest time.Duration
	for _, s := range spans {
		byID[s.ID] = s
		longest = max(longest, s.End.Sub(s.Start))
	}
	hasChildren := map[string]bool{}
	for _, s := range spans {
		hasChildren[s.Parent] = true
	}
	children := map[string][]Span{}
	for _, s := range spans {
		parent := byID[s.Parent]
		if !hasChildren[s.ID] && s.Service == parent.Service && s.Error == "" && s.End.Sub(s.Start) < longest/minShare {
			hidden++
			continue
		}
		children[parent.ID] = append(children[parent.ID], s)
	}
	for _, below := range children {
		slices.SortStableFunc(below, func(a, b Span) int { return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End)) })
	}
	var walk func(parent, indent string, outside bool)
	walk = func(parent, indent string, outside bool) {
		below := children[parent]
		for i, s := range below {
			branch, further := "├ ", "│ "
			if i == len(below)-1 {
				branch, further = "└ ", "  "
			}
			if outside {
				branch, further = "", ""
			}
			rows = append(rows, row{s, indent + branch})
			walk(s.ID, indent+further, false)
		}
	}
	walk("", "", true)
	return rows, hidden
}

// extent places a span on a bar; even the shortest takes one column.
func extent(s Span, start, end time.Time, bar int) (left, length int) {
	total := max(1, end.Sub(start))
	left = min(bar-1, int(s.Start.Sub(start)*time.Duration(bar)/total))
	right := int(s.End.Sub(start) * time.Duration(bar) / total)
	return left, max(1, min(bar, right)-left)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
