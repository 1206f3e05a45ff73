// Package stream cuts files of objects, streams of YAML documents or of JSON values, into what they hold, as kubectl
// reads them; but it drops nothing without a word.
package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/sdk/config"
)

// Document is one document of a stream, as text.
type Document struct {
	// Line is the one of the file, counted from 1, at which the text begins.
	Line int
	// Text is YAML, or one JSON value.
	Text []byte
}

// separator begins a YAML document; what follows on its line is part of that document.
var separator = regexp.MustCompile(`(?m)^---(?:[ \t]|\r?$)`)

// Split cuts a stream into documents, of which some may be empty. JSON values may follow each other without a
// separator.
func Split(data []byte) []Document {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var documents []Document
	start, line := 0, 1
	for _, end := range append(separator.FindAllIndex(data, -1), []int{len(data), len(data)}) {
		d := Document{line, data[start:end[0]]}
		line += bytes.Count(data[start:end[1]], []byte("\n"))
		start = end[1]
		if bytes.HasPrefix(bytes.TrimLeft(d.Text, blank), []byte("{")) {
			documents = append(documents, splitJSON(d)...)
		} else {
			documents = append(documents, d)
		}
	}
	return documents
}

const blank = " \t\r\n"

// splitJSON returns the JSON values in d; from the first that is none on, it may be YAML in flow style.
func splitJSON(d Document) []Document {
	var values []Document
	decoder := json.NewDecoder(bytes.NewReader(d.Text))
	for {
		rest := d.Text[decoder.InputOffset():]
		text := bytes.TrimLeft(rest, blank)
		line := d.Line + bytes.Count(rest[:len(rest)-len(text)], []byte("\n"))
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return values
		case err != nil:
			return append(values, Document{line, text})
		}
		values = append(values, Document{line, value})
		d.Line = line + bytes.Count(value, []byte("\n"))
	}
}

// Read returns the document as JSON, as kubectl reads it, and as a tree whose lines are those of the file; neither
// where there is nothing in it. The problems, with the name of the file, are what is wrong with its syntax; then
// there is nothing else.
func (d Document) Read(file string) (raw []byte, root *yamlv3.Node, problems config.Problems) {
	if !utf8.Valid(d.Text) { // the parsers know UTF-16, but Split does not see its separators
		return nil, nil, config.Problems{config.SyntaxProblem(file, d.Line, d.Text, errors.New("not UTF-8"))}
	}
	raw, err := yaml.YAMLToJSONStrict(d.Text)
	if err != nil {
		return nil, nil, d.refused(file, err)
	}
	decoder := yamlv3.NewDecoder(bytes.NewReader(d.Text))
	var first, next yamlv3.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil, nil
	case err != nil:
		return nil, nil, config.Problems{config.SyntaxProblem(file, d.Line, d.Text, err)}
	}
	// The converter takes the first document, and drops the others without a word.
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, nil, config.Problems{d.second(file, &next, err)}
	}
	if string(raw) == "null" {
		return nil, nil, nil
	}
	shift(&first, d.Line-1)
	return raw, first.Content[0], nil
}

// shift adds to the lines of all nodes.
func shift(n *yamlv3.Node, lines int) {
	n.Line += lines
	for _, child := range n.Content {
		shift(child, lines)
	}
}

// second says what is wrong with d, in which another document follows the first: next, or err in place of it.
func (d Document) second(file string, next *yamlv3.Node, err error) config.Problem {
	const message = `a second document follows at or shortly after this line; write --- on a line of its own in front of it`
	switch {
	case err != nil && !strings.Contains(err.Error(), "expected <document start>"):
		return config.SyntaxProblem(file, d.Line, d.Text, err)
	case err != nil:
		at := config.SyntaxProblem(file, d.Line, d.Text, err)
		at.Message = message
		return at
	}
	return config.Problem{File: file, Line: d.Line + next.Line - 1, Message: message}
}

// yamlError finds the line in what YAML parsers say.
var yamlError = regexp.MustCompile(`line (\d+): (.*)`)

// refused is what the converter has against d: its syntax, keys that come twice, or that are no text.
func (d Document) refused(file string, err error) config.Problems {
	problem := func(at int, message string) config.Problem {
		return config.Problem{File: file, Line: d.Line + at - 1, Message: "not YAML: " + message}
	}
	message := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	if strings.HasPrefix(message, "yaml: unmarshal errors:") {
		var problems config.Problems
		for _, m := range yamlError.FindAllStringSubmatch(message, -1) {
			if at, err := strconv.Atoi(m[1]); err == nil {
				problems = append(problems, problem(at, strings.TrimSpace(m[2])))
			}
		}
		if len(problems) > 0 {
			return problems
		}
	}
	if before, _, found := bytes.Cut(d.Text, []byte("{{")); found && strings.Contains(message, "invalid map key") {
		return config.Problems{problem(1+bytes.Count(before, []byte("\n")), "a map as a key; if {{ }} are those of a template, render it first")}
	}
	return config.Problems{config.SyntaxProblem(file, d.Line, d.Text, errors.New(message))}
}
