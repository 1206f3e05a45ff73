package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// SnapshotDefinitions returns the CustomResourceDefinitions of external-snapshotter, as its Go module has them, at the
// version of tools/external-snapshotter/go.mod.
func SnapshotDefinitions(ctx context.Context) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", "github.com/kubernetes-csi/external-snapshotter/client/v8")
	cmd.Dir = filepath.Join(root, "tools", "external-snapshotter")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download: %w\n%s%s", err, out, &problems)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return nil, fmt.Errorf("reading what go mod download says: %w", err)
	}
	return Definitions(filepath.Join(module.Dir, "config", "crd"))
}

// Definitions reads the CustomResourceDefinitions of a file, or of all files of a folder.
func Definitions(path string) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	read := envtest.CRDInstallOptions{Paths: []string{path}, ErrorIfPathMissing: true}
	if err := envtest.ReadCRDFiles(&read); err != nil {
		return nil, fmt.Errorf("reading the definitions of %s: %w", path, err)
	}
	if len(read.CRDs) == 0 {
		return nil, fmt.Errorf("%s has no CustomResourceDefinitions", path)
	}
	return read.CRDs, nil
}

// WithoutRules returns copies of definitions that have no x-kubernetes-validations.
func WithoutRules(definitions []*apiextensionsv1.CustomResourceDefinition) []*apiextensionsv1.CustomResourceDefinition {
	var without []*apiextensionsv1.CustomResourceDefinition
	for _, d := range definitions {
		d = d.DeepCopy()
		for _, v := range d.Spec.Versions {
			dropRules(v.Schema.OpenAPIV3Schema)
		}
		without = append(without, d)
	}
	return without
}

func dropRules(s *apiextensionsv1.JSONSchemaProps) {
	s.XValidations = nil
	for name, property := range s.Properties {
		dropRules(&property)
		s.Properties[name] = property
	}
	if s.Items != nil && s.Items.Schema != nil {
		dropRules(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		dropRules(s.AdditionalProperties.Schema)
	}
}

// Define creates definitions, or puts them in the places of those of the same names, and waits until what they
// define is served. Those that were there before may count for a moment more.
func (p *ControlPlane) Define(definitions []*apiextensionsv1.CustomResourceDefinition) error {
	if _, err := envtest.InstallCRDs(p.Config, envtest.CRDInstallOptions{CRDs: definitions}); err != nil {
		return fmt.Errorf("installing the definitions: %w", err)
	}
	return nil
}
