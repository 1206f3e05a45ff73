package command

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// page is documentation about gatefold test.
const page = "../../../docs/how-to/test-policies.md"

// block is a block of code with the comment in front of it, such as <!-- file: PATH --> or <!-- exit: CODE -->.
var block = regexp.MustCompile("(?m)(?:^<!-- (\\w+)(?:: )?(.*) -->\n)?^```(\\w+)\n((?s:.*?))^```$")

// TestPage does what the page says, and holds it against what it shows: a file is written, commands of a console are
// run in the order of the page, and a line "..." stands for any lines.
func TestPage(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("shop", 0o700); err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, m := range block.FindAllStringSubmatch(string(data), -1) {
		said, value, language, text := m[1], m[2], m[3], m[4]
		switch {
		case said == "file":
			if err := os.WriteFile(value, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		case language == "console":
			want, _ := strconv.Atoi(value) // 0 where nothing is said
			for _, command := range strings.Split("\n"+text, "\n$ ")[1:] {
				line, shown, _ := strings.Cut(strings.TrimSuffix(command, "\n")+"\n", "\n")
				got, code := follow(t, line)
				if diff := cmp.Diff(shown, cut(shown, got)); diff != "" || code != want {
					t.Errorf("$ %s\nexit code %d, the page says %d (-page +got):\n%s", line, code, want, diff)
				}
				commands++
			}
		}
	}
	if commands < 6 {
		t.Errorf("only %d commands on the page", commands)
	}
}

// follow runs a command of the page.
func follow(t *testing.T, line string) (output string, code int) {
	t.Helper()
	if file, is := strings.CutPrefix(line, "cat "); is {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data), 0
	}
	arguments, is := strings.CutPrefix(line, "bin/gatefold ")
	if !is {
		t.Fatalf("$ %s: a command that this test does not know", line)
	}
	var args []string
	for i, part := range strings.Split(arguments, "'") {
		if i%2 == 1 { // between two quotes
			args = append(args, part)
			continue
		}
		args = append(args, strings.Fields(part)...)
	}
	stdout, stderr, code := execute(t, "", args...)
	if strings.HasPrefix(stderr, "wrote ") || strings.HasPrefix(stderr, "note: ") { // before the result
		return stderr + stdout, code
	}
	return stdout + stderr, code
}

// cut puts "..." in the place of what shown leaves out of got.
func cut(shown, got string) string {
	before, after, is := strings.Cut(shown, "...\n")
	if is && strings.HasPrefix(got, before) && strings.HasSuffix(got, after) && len(got) >= len(before)+len(after) {
		return shown
	}
	return got
}
