// Package policy reads kube-apiserver's own policies from files. Its subpackages evaluate them with
// k8s.io/apiserver's packages, so that a policy means here what it means in kube-apiserver: validating has
// the ValidatingAdmissionPolicies, and mutating the MutatingAdmissionPolicies.
package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is one file of policies, bindings and params: a stream of YAML documents, or JSON.
type File struct {
	// Name is the file's path; it stands in front of every problem.
	Name string
	// Data is the content.
	Data []byte
}

// ReadFiles reads the files at paths. Of a folder it takes the *.yaml, *.yml and *.json directly in it, in
// the order of their names, as kube-apiserver does with a manifest folder; except *_test.*, which are
// cases of gatefold test.
func ReadFiles(paths []string) ([]File, error) {
	var files []File
	var errs []error
	for _, path := range paths {
		names, err := filesOf(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				errs = append(errs, fmt.Errorf("reading policies: %w", err))
				continue
			}
			files = append(files, File{Name: name, Data: data})
		}
	}
	return files, errors.Join(errs...)
}

func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	var names []string
	for _, e := range entries {
		extension := filepath.Ext(e.Name())
		isTest := strings.HasSuffix(strings.TrimSuffix(e.Name(), extension), "_test")
		if !e.IsDir() && !isTest && slices.Contains([]string{".yaml", ".yml", ".json"}, extension) {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	return names, nil
}
