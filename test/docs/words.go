package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"sigs.k8s.io/yaml"
)

// words are the descriptions of what cannot describe itself. Whatever the code has must be described, and
// whatever is described the code must have.
type words struct {
	file    string
	texts   map[string]map[string]string // by section and name
	missing map[string]bool
	used    map[string]bool
}

func readWords(file string) (*words, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	w := &words{file: file, missing: map[string]bool{}, used: map[string]bool{}}
	if err := yaml.UnmarshalStrict(data, &w.texts); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return w, nil
}

// of returns the text of a name.
func (w *words) of(section, name string) string {
	text, ok := w.texts[section][name]
	if !ok {
		w.missing[section+": "+name] = true
	}
	w.used[section+": "+name] = true
	return text
}

// all returns the texts of names, for a table.
func (w *words) all(section string, names map[string]bool) []described {
	var out []described
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = append(out, described{name, w.of(section, name)})
	}
	return out
}

// described is a name and what it means.
type described struct{ Name, Text string }

// check says what is not described, and what is described for nothing.
func (w *words) check() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(w.missing)) {
		errs = append(errs, fmt.Errorf("%s: %q is not described", w.file, name))
	}
	for section, texts := range w.texts {
		for name := range texts {
			if !w.used[section+": "+name] {
				errs = append(errs, fmt.Errorf("%s: %q is described, but nothing has that name", w.file, section+": "+name))
			}
		}
	}
	return errors.Join(errs...)
}
