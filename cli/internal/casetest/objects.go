package casetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/tree"
	"github.com/gatefold/gatefold/sdk/config"
)

// objects reads what a source stands for; path is where it stands in the document.
func (d *document) objects(s Source, path ...any) ([]manifest.Object, config.Problems) {
	if s.Path == "" {
		n := d.at(path...)
		source := fmt.Sprintf("%s:%d", d.file, n.Line)
		objects, err := manifest.Objects(n, source)
		if err != nil {
			return nil, config.Problems{d.problem(strings.TrimPrefix(err.Error(), source+": "), path...)}
		}
		return objects, nil
	}
	objects, err := manifest.Read(strings.NewReader(""), s.Path)
	if err != nil {
		var problems config.Problems
		for line := range strings.SplitSeq(err.Error(), "\n") {
			problems = append(problems, d.problem(line, path...))
		}
		return nil, problems
	}
	return objects, nil
}

// object reads the one object that a source stands for.
func (d *document) object(s *Source, path ...any) (manifest.Object, config.Problems) {
	objects, problems := d.objects(*s, path...)
	switch {
	case len(problems) > 0:
		return manifest.Object{}, problems
	case len(objects) != 1:
		return manifest.Object{}, config.Problems{d.problem(fmt.Sprintf("there are %d objects; give one", len(objects)), path...)}
	}
	return objects[0], nil
}

// all reads a list of sources.
func (d *document) all(list []Source, path ...any) ([]manifest.Object, config.Problems) {
	var objects []manifest.Object
	var problems config.Problems
	for i, s := range list {
		found, bad := d.objects(s, append(slices.Clip(path), i)...)
		objects, problems = append(objects, found...), append(problems, bad...)
	}
	return objects, problems
}

// identity is what makes two objects the same one.
type identity struct {
	schema.GroupKind
	namespace, name string
}

func identityOf(o manifest.Object) identity {
	gv, _ := schema.ParseGroupVersion(o.APIVersion()) // what is malformed is in no group, and refused elsewhere
	return identity{schema.GroupKind{Group: gv.Group, Kind: o.Kind()}, o.Namespace(), o.Name()}
}

// put returns base with others beside it, or in the places of the same ones.
func put(base, others []manifest.Object) []manifest.Object {
	out := slices.Clone(base)
	for _, o := range others {
		at := slices.IndexFunc(out, func(b manifest.Object) bool { return identityOf(b) == identityOf(o) })
		if at < 0 {
			out = append(out, o)
		} else {
			out[at] = o
		}
	}
	return out
}

// position splits an object's source.
func position(o manifest.Object) (file string, line int) {
	at := strings.LastIndexByte(o.Source, ':')
	if at < 0 {
		return o.Source, 1
	}
	line, _ = strconv.Atoi(o.Source[at+1:])
	return o.Source[:at], max(line, 1)
}

// inPlace writes an object as JSON in which everything stands in the line in which its author wrote it, so that
// what others find wrong with it has the right line.
func inPlace(o manifest.Object) []byte {
	w := placer{line: 1}
	_, line := position(o)
	w.goTo(line)
	w.value(o.Root)
	return append(w.out, '\n')
}

type placer struct {
	out  []byte
	line int
}

// goTo begins new lines up to a line, unless that has passed: aliases bring what stands further up.
func (w *placer) goTo(line int) {
	for ; w.line < line; w.line++ {
		w.out = append(w.out, '\n')
	}
}

func (w *placer) value(n *tree.Node) {
	w.goTo(n.Line)
	switch n.Kind {
	case tree.Object:
		w.out = append(w.out, '{')
		for i, m := range n.Members {
			w.separate(i)
			w.goTo(m.Line)
			w.out = append(append(w.out, tree.NewString(m.Name).JSON()...), ": "...)
			w.value(m.Value)
		}
		w.out = append(w.out, '}')
	case tree.Array:
		w.out = append(w.out, '[')
		for i, item := range n.Items {
			w.separate(i)
			w.value(item)
		}
		w.out = append(w.out, ']')
	default:
		w.out = append(w.out, n.JSON()...)
	}
}

func (w *placer) separate(i int) {
	if i > 0 {
		w.out = append(w.out, ", "...)
	}
}
