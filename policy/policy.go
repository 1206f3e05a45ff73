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
// cases of gatefold test. The error joins all reasons why something could not be read.
func ReadFiles(paths []string) ([]File, error) {
	var files []File
	var errs []error
	for _, path := range paths {
		names, err := filesOf(path)
		if err != nil {
			errs = append(errs, err)
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

// filesOf returns the file at path, or those of a folder, and beside them what is wrong with others.
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
	var errs []error
	for _, e := range entries {
		if e.IsDir() || !isManifest(e.Name()) {
			continue
		}
		name := filepath.Join(path, e.Name())
		switch info, err := os.Stat(name); { // kubelet mounts links
		case err != nil:
			errs = append(errs, fmt.Errorf("reading policies: %w", err))
		case !info.Mode().IsRegular(): // who reads a pipe waits for somebody to write
			errs = append(errs, fmt.Errorf("reading policies: %s is not a regular file; take it out of the folder", name))
		default:
			names = append(names, name)
		}
	}
	return names, errors.Join(errs...)
}

// isManifest tells by its name whether a file of a folder is read.
func isManifest(name string) bool {
	extension := filepath.Ext(name)
	isTest := strings.HasSuffix(strings.TrimSuffix(name, extension), "_test")
	return !isTest && slices.Contains([]string{".yaml", ".yml", ".json"}, extension)
}
