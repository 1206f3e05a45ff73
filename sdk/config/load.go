package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	kjson "sigs.k8s.io/json"
)

// Resolve returns p as it is seen from the folder of the configuration file at configPath. An empty or
// absolute p is returned as it is.
func Resolve(configPath, p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(configPath), p)
}

// Load reads the document of the given kind from the file at path. See Parse.
func Load[T any, P interface {
	*T
	Document
}](path, kind string) (P, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse[T, P](path, data, kind)
}

// Parse returns the document of the given kind from data, a stream of YAML documents, with its defaults
// set and its paths resolved against the folder of name, the path of the file that data came from.
// Documents of the sibling kinds are skipped unread. When anything is wrong the error is Problems, with
// every reason: unknown and duplicate keys, wrong types, and what Validate says.
func Parse[T any, P interface {
	*T
	Document
}](name string, data []byte, kind string) (P, error) {
	document, problems := find(name, data, kind)
	if document == nil {
		return nil, problems
	}

	r := newReader(name)
	t := reflect.TypeFor[T]()
	tree := r.document(document, t)

	config := P(new(T))
	if err := decode(tree, config); err != nil {
		r.report(document, "", "%s; %s", err, "correct the value")
	} else {
		config.SetDefaults()
		if p, ok := Document(config).(PathResolver); ok {
			p.ResolvePaths(func(p string) string { return Resolve(name, p) })
		}
		r.invalid(document, config.Validate())
	}

	problems = append(problems, r.problems...)
	if len(problems) > 0 {
		problems.Sort()
		return nil, problems
	}
	return config, nil
}

// decode is strict once more, so that a rule of JSON decoding that reader does not know cannot let a
// misspelt field pass.
func decode(tree, into any) error {
	raw, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	strict, err := kjson.UnmarshalStrict(raw, into)
	return errors.Join(append(strict, err)...)
}

// ErrUnusable marks, beside Problems, the errors of a configuration that is right by itself and cannot be
// used by the program that was started with it.
var ErrUnusable = errors.New("the configuration cannot be used")

// Problem is one thing that is wrong with a configuration file.
type Problem struct { //nolint:errname // config.ProblemError would say less: it is one line of a report
	// File is the file's path.
	File string
	// Line counts from 1, in the file and not in the document.
	Line int
	// Path names the field, such as backends[2].timeoutSeconds. Empty: the whole document.
	Path string
	// Message says what is wrong, and after a semicolon what to do.
	Message string
}

// Error is file:line: path: message.
func (p Problem) Error() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Path, p.Message)
}

// Problems is everything that is wrong with a configuration file, in the order of its lines; len counts
// them, at least one. It is the error of Parse and Load for a file that could be read and is not right.
type Problems []Problem //nolint:errname // the report, of which Problem is one line

// Sort brings them into the order of their files and lines. Those of one line stay in their order.
func (p Problems) Sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}

// Error has one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each problem.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, problem := range p {
		errs[i] = problem
	}
	return errs
}
