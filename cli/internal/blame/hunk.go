package blame

import "strings"

// Hunk is a run of changed lines with some kept ones around them. Line numbers count from 1.
type Hunk struct {
	OldStart, OldLines int
	NewStart, NewLines int
	// Section is the path of YAML keys under which the first line stands, such as "spec.containers".
	Section string
	Lines   []Line
}

// Hunks cuts the story into runs of changes with at most context kept lines around each.
func Hunks(story []Line, context int) []Hunk {
	var hunks []Hunk
	oldLine, newLine := 1, 1
	for i, line := range story {
		if near(story, i, context) {
			if i == 0 || !near(story, i-1, context) {
				hunks = append(hunks, Hunk{OldStart: oldLine, NewStart: newLine, Section: section(story, i)})
			}
			h := &hunks[len(hunks)-1]
			h.Lines = append(h.Lines, line)
			h.OldLines += count(line.Op != Added)
			h.NewLines += count(line.Op != Removed)
		}
		oldLine += count(line.Op != Added)
		newLine += count(line.Op != Removed)
	}
	return hunks
}

// near tells whether a changed line is at most context lines away.
func near(story []Line, i, context int) bool {
	for j := max(0, i-context); j <= min(len(story)-1, i+context); j++ {
		if story[j].Op != Kept {
			return true
		}
	}
	return false
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// section collects the keys above line i: each time, the nearest line that is less indented.
func section(story []Line, i int) string {
	var keys []string
	inner := depth(story[i].Text)
	for j := i - 1; j >= 0 && inner > 0; j-- {
		text := story[j].Text
		key, opens := strings.CutSuffix(strings.TrimLeft(text, " -"), ":")
		if d := depth(text); opens && d < inner {
			keys, inner = append([]string{key}, keys...), d
		}
	}
	return strings.Join(keys, ".")
}

// depth is the indentation of what a line says. The dash of a list item counts half a step, because a
// list is written at the indentation of its key.
func depth(line string) int {
	d := 2 * indent(line)
	if strings.HasPrefix(strings.TrimLeft(line, " "), "- ") {
		d++
	}
	return d
}
