package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// find returns the document of the wanted kind, or nil; and what is wrong with the stream as a whole.
func find(file string, data []byte, kind string) (*yaml.Node, Problems) {
	var (
		problems Problems
		wanted   *yaml.Node
		first    = map[string]int{} // the line of each kind seen
		found    []string
	)
	report := func(line int, path, format string, args ...any) {
		problems = append(problems, Problem{File: file, Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
	}

	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, append(problems, SyntaxProblem(file, 1, data, err))
		}
		document := root.Content[0]
		if document.Kind == yaml.ScalarNode && document.ShortTag() == "!!null" {
			continue // nothing between two separators
		}
		if document.Kind != yaml.MappingNode {
			report(document.Line, "", "the document is a %s; write a mapping with apiVersion and kind", describe(document))
			continue
		}

		version, versionLine := header(document, "apiVersion")
		got, kindLine := header(document, "kind")
		switch {
		case version == "":
			report(versionLine, "apiVersion", "missing; write apiVersion: %s", APIVersion)
		case version != APIVersion:
			report(versionLine, "apiVersion", "unknown version %q; write %s", version, APIVersion)
		}
		kinds := []string{GatewayConfig, MutatorConfig, ValidatorConfig}
		switch {
		case got == "":
			report(kindLine, "kind", "missing; write one of %s", strings.Join(kinds, ", "))
		case !slices.Contains(kinds, got) && got != kind:
			report(kindLine, "kind", "unknown kind %q; %s", got, suggest(got, kinds))
		case first[got] > 0:
			report(kindLine, "kind", "a second %s, the first is at line %d; keep one of them", got, first[got])
		default:
			first[got] = kindLine
			found = append(found, got)
			if got == kind && version == APIVersion {
				wanted = document
			}
		}
	}

	if wanted == nil && len(problems) == 0 {
		switch {
		case len(found) == 0:
			report(1, "", "the file is empty; write a document of kind %s", kind)
		default:
			report(1, "", "no document of kind %s, only %s; add one", kind, strings.Join(found, " and "))
		}
	}
	return wanted, problems
}

// header returns the text of a top-level key, and its line.
func header(document *yaml.Node, key string) (value string, line int) {
	for i := 0; i+1 < len(document.Content); i += 2 {
		if k, v := document.Content[i], document.Content[i+1]; k.Value == key && v.Kind == yaml.ScalarNode {
			return v.Value, v.Line
		}
	}
	return "", document.Line
}

var (
	yamlError     = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	tabIndent     = regexp.MustCompile(`^ *\t`)
)

// SyntaxProblem is err, what a YAML parser has said of text, as a problem: with its line, and what to do. The text
// begins at a line of file, counted from 1.
func SyntaxProblem(file string, line int, text []byte, err error) Problem {
	at, message := syntaxError(err, text)
	return Problem{File: file, Line: line + at - 1, Message: "not YAML: " + message}
}

// syntaxError finds the line of a parser's error, and what to do, also where the parser does not say.
func syntaxError(err error, data []byte) (line int, message string) {
	text := strings.Split(string(data), "\n")
	message = err.Error()
	if match := yamlError.FindStringSubmatch(message); match != nil {
		message = match[2]
		if line, err = strconv.Atoi(match[1]); err != nil {
			line = 1 // the parser leaves the first line unsaid
		}
	}
	line = min(max(line, 1), len(text))

	if i := slices.IndexFunc(text, func(l string) bool { return !utf8.ValidString(l) }); i >= 0 {
		return i + 1, "bytes that are not UTF-8; save the file as UTF-8"
	}
	if match := unknownAnchor.FindStringSubmatch(message); match != nil {
		i := slices.IndexFunc(text, func(l string) bool { return strings.Contains(l, "*"+match[1]) })
		return max(i, 0) + 1, message + "; define it with &" + match[1] + " earlier in the same document"
	}
	if tabIndent.MatchString(text[line-1]) {
		return line, "a tab in the indentation; indent with spaces"
	}
	return line, message + "; correct the syntax at or shortly before this line"
}
