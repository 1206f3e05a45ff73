package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatefold/gatefold/cli/internal/exit"
	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/render"
	"github.com/gatefold/gatefold/cli/internal/resource"
	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/stack"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/cluster"
)

// inputs are the flags that say which objects go through the gate, and who sends them.
type inputs struct {
	files     []string
	objects   []string
	namespace string
	operation string
	user      string
	groups    []string
}

func (in *inputs) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVarP(&in.files, "filename", "f", in.files, "files or folders of manifests, YAML or JSON; - is standard input")
	f.StringSliceVar(&in.objects, "objects", nil, "further files of the cluster's state: namespaces, service accounts, CRDs, old objects of an UPDATE")
	f.StringVarP(&in.namespace, "namespace", "n", "default", "where objects go that do not name a namespace")
	f.StringVar(&in.operation, "operation", "CREATE", "what is done to the objects: CREATE, UPDATE or DELETE")
	f.StringVar(&in.user, "as", "kubernetes-admin", "who asks")
	f.StringArrayVar(&in.groups, "as-group", nil, "a group of who asks, beside system:authenticated; may be repeated")
	complete(cmd, "operation", "CREATE", "UPDATE", "DELETE")
}

// loaded is what the flags lead to.
type loaded struct {
	manifests []manifest.Object
	requests  *review.Requests
	cluster   *cluster.Cluster
	// assumed are namespaces that are not among the objects.
	assumed []string
}

func (in *inputs) load(stdin io.Reader) (*loaded, error) {
	operation, known := admissionv1.Operation_value["OPERATION_"+strings.ToUpper(in.operation)]
	if !known || operation < int32(admissionv1.Operation_OPERATION_CREATE) || operation > int32(admissionv1.Operation_OPERATION_DELETE) {
		return nil, exit.UsageError(fmt.Errorf("--operation: %q is not CREATE, UPDATE or DELETE", in.operation))
	}
	manifests, err := manifest.Read(stdin, in.files...)
	existing, existingErr := manifest.Read(stdin, in.objects...)
	if err := errors.Join(err, existingErr); err != nil {
		return nil, exit.UsageError(err)
	}
	if len(manifests) == 0 {
		return nil, exit.UsageError(fmt.Errorf("no objects in %s (- is standard input)", strings.Join(in.files, ", ")))
	}
	all := append(slices.Clip(existing), manifests...)
	l := &loaded{manifests: manifests, requests: &review.Requests{
		Mapper:    resource.NewMapper(all),
		Operation: admissionv1.Operation(operation),
		Namespace: in.namespace,
		User:      in.user,
		Groups:    in.groups,
		Existing:  existing,
		DryRun:    true,
	}}
	l.cluster, l.assumed, err = stack.Cluster(all, in.namespace, l.namespaces())
	return l, exit.UsageError(err)
}

// namespaces are those that the manifests go to.
func (l *loaded) namespaces() []string {
	var names []string
	for _, o := range l.manifests {
		_, res, err := l.requests.Mapper.OfObject(o.Root)
		name := cmp.Or(o.Namespace(), l.requests.Namespace)
		if err == nil && (res.Namespaced || o.IsImageReview()) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// printNotes says what was assumed about the cluster.
func (l *loaded) printNotes(w io.Writer) {
	for _, name := range l.assumed {
		fmt.Fprintf(w, "note: namespace %s is not among the objects; it is taken to exist, without labels\n", render.Clean(name))
	}
}

// defaultConfig is used where no --config is given.
const defaultConfig = "gatefold.yaml"

// loadConfig reads the configuration at path; fallback is the path where no --config is given.
func loadConfig(path, fallback string) (*stack.Config, error) {
	return loadConfigBy(stack.Load, path, fallback)
}

func loadConfigBy(load func(string) (*stack.Config, error), path, fallback string) (*stack.Config, error) {
	cfg, err := load(path)
	if errors.Is(err, os.ErrNotExist) && path == fallback {
		err = fmt.Errorf("no %s in this folder; name the configuration with --config", fallback)
	}
	return cfg, exit.UsageError(err)
}
