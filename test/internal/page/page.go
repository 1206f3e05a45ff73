// Package page reads the pages of the documentation as what a reader would do: files to write and commands to
// run, with what they print.
//
// A ```console block holds commands, each after "$ ", with the output beneath; a line "..." in it stands for any
// lines. Comments in front of a block say what a reader sees in the text:
//
//	<!-- file: PATH -->         the block is what to write there
//	<!-- background: TEXT -->   the command keeps running; go on when it has printed TEXT
//	<!-- exit: CODE -->         the commands of the block end with this code
//	<!-- eventually -->         until then they may end otherwise, for a while
//	<!-- not run -->            the block is for reading
package page

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Step is one thing to do.
type Step struct {
	// Line is where its block begins.
	Line int
	// File is a path to write Content to; the other fields are then empty.
	File, Content string
	// Command is for a shell.
	Command string
	// Output is what it prints on both streams, with lines "..." for any lines; Background is what a command that goes on
	// must have printed.
	Output, Background string
	// Exit is its exit code.
	Exit int
	// Eventually: it may take some tries.
	Eventually bool
}

var (
	directive = regexp.MustCompile(`^<!-- (file|background|exit|eventually|not run)(?:: (.*))? -->$`)
	fence     = regexp.MustCompile("^```(\\w*)$")
)

// Read reads a page.
func Read(file string) ([]Step, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	var steps []Step
	said := map[string]string{}
	lines := strings.Split(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		if m := directive.FindStringSubmatch(lines[i]); m != nil {
			said[m[1]] = m[2]
			continue
		}
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		begin := i + 1
		end := slices.Index(lines[begin:], "```")
		if end < 0 {
			return nil, fmt.Errorf("%s:%d: the block has no end", file, begin)
		}
		i = begin + end
		block, err := stepsOf(m[1], lines[begin:i], said)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, begin, err)
		}
		for j := range block {
			block[j].Line = begin
		}
		steps, said = append(steps, block...), map[string]string{}
	}
	return steps, nil
}

func stepsOf(language string, lines []string, said map[string]string) ([]Step, error) {
	if _, skipped := said["not run"]; skipped {
		return nil, nil
	}
	if name, is := said["file"]; is {
		return []Step{{File: name, Content: strings.Join(lines, "\n") + "\n"}}, nil
	}
	if language != "console" {
		return nil, nil
	}
	common := Step{Background: said["background"]}
	_, common.Eventually = said["eventually"]
	if code, is := said["exit"]; is {
		var err error
		if common.Exit, err = strconv.Atoi(code); err != nil {
			return nil, fmt.Errorf("exit: %w", err)
		}
	}
	var steps []Step
	for i := 0; i < len(lines); i++ {
		command, is := strings.CutPrefix(lines[i], "$ ")
		switch {
		case is:
			for strings.HasSuffix(command, `\`) && i+1 < len(lines) {
				i++
				command += "\n" + lines[i]
			}
			step := common
			step.Command = command
			steps = append(steps, step)
		case len(steps) == 0:
			return nil, fmt.Errorf("a console block begins with $, not with %q", lines[i])
		default:
			steps[len(steps)-1].Output += lines[i] + "\n"
		}
	}
	return steps, nil
}

// Matches tells whether got is what the page shows: spaces at the end of a line, and empty lines at the end of all, do
// not count.
func (s Step) Matches(got string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(s.Output) {
		if line == "...\n" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		pattern.WriteString(regexp.QuoteMeta(strings.TrimRight(line, " \n")) + ` *\n`)
	}
	if got = strings.TrimRight(got, "\n"); got != "" {
		got += "\n"
	}
	return regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(got)
}
