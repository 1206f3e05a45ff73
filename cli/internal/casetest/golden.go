package casetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatefold/gatefold/cli/internal/tree"
	"github.com/gatefold/gatefold/sdk/config"
)

// golden is the object that a case expects.
type golden struct {
	// file is empty for an object that stands in the case.
	file string
	want *tree.Node // nil: the file is not there yet
	// written tells that this run has written the file.
	written bool
}

// goldens are the golden files of a run by their paths, since several cases may expect the same.
type goldens map[string]*golden

// of returns what case i expects; nil where it expects no object. A file that is missing is no problem when it is
// going to be written.
func (all goldens) of(d *document, i int, update bool) (*golden, config.Problems) {
	s := d.Cases[i].Expect.Object
	path := []any{"cases", i, "expect", "object"}
	switch {
	case s == nil:
		return nil, nil
	case s.Path == "":
		return &golden{want: d.at(path...)}, nil
	case all[s.Path] != nil:
		return all[s.Path], nil
	}
	g := &golden{file: s.Path}
	if _, err := os.Stat(s.Path); os.IsNotExist(err) {
		if !update {
			return nil, config.Problems{d.problem(s.Path+" does not exist; gatefold test --update writes it", path...)}
		}
	} else {
		o, problems := d.object(s, path...)
		if len(problems) > 0 {
			return nil, problems
		}
		g.want = o.Root
	}
	all[s.Path] = g
	return g, nil
}

// compare compares the object that came out. With update a file that is not the same by value is written; two
// cases that expect one file must agree.
func (g *golden) compare(got *tree.Node, update bool) (failures []Failure, written bool, err error) {
	if g.file == "" || !update || g.written {
		failures, err = compareObject(g.want, got)
		return failures, false, err
	}
	if g.want != nil && equal(g.want, got) {
		g.written = true // it holds for the other cases
		return nil, false, nil
	}
	if err := g.write(got); err != nil {
		return nil, false, err
	}
	g.want, g.written = got, true
	return nil, true, nil
}

// unwritten is the error of a golden file that cannot be written.
type unwritten struct{ error }

// write writes an object to the file, as what its name says that it is.
func (g *golden) write(o *tree.Node) error {
	text, err := o.YAML()
	if filepath.Ext(g.file) == ".json" {
		var b bytes.Buffer
		err = json.Indent(&b, o.JSON(), "", "  ")
		text = b.String() + "\n"
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", g.file, err)
	}
	if err := os.MkdirAll(filepath.Dir(g.file), 0o755); err != nil {
		return unwritten{err}
	}
	if err := os.WriteFile(g.file, []byte(text), 0o644); err != nil {
		return unwritten{err}
	}
	return nil
}

// reads tells whether a file is what the case requests: then its object is not to change, and writing what comes
// out would change the request.
func (c *Case) reads(file string) bool {
	for _, s := range []*Source{c.Object, c.OldObject} {
		if s != nil && file != "" && s.Path == file {
			return true
		}
	}
	return false
}
