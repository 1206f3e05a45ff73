package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/gatefold/gatefold/gateway"
	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/config"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

const module = "github.com/gatefold/gatefold/"

// section is a struct of the configuration.
type section struct {
	Title, Doc string
	Fields     []row
}

// row is a field. Name is as in YAML.
type row struct {
	Name, Type, Default, Doc string
	Required                 bool
}

// kind is a document of the configuration.
type kind struct {
	Name, Example, ExampleFile string
	Sections                   []section
}

// configuration reads the types by reflection, their defaults by setting them, and their meaning from the
// comments in the source.
func configuration(_ context.Context, root string, w *words) (any, error) {
	b := &book{root: root, words: w, comments: map[string]comments{}, shared: map[reflect.Type]bool{}}
	kinds := []*kind{
		{Name: config.GatewayConfig, ExampleFile: "gateway/internal/config/testdata/good.yaml"},
		{Name: config.MutatorConfig, ExampleFile: "examples/gatefold.yaml"},
		{Name: config.ValidatorConfig, ExampleFile: "examples/gatefold.yaml"},
	}
	for i, doc := range []config.Document{&gateway.Config{}, &mutatorsvc.Config{}, &validatorsvc.Config{}} {
		// One item of each list that has defaults of its own.
		if err := json.Unmarshal([]byte(`{"backends": [{}], "labels": {"rules": [{}]}, "quota": {"rules": [{}]}}`), doc); err != nil {
			return nil, err
		}
		if mutator, ok := doc.(*mutatorsvc.Config); ok {
			fill(reflect.ValueOf(&mutator.Identity).Elem())
		}
		doc.SetDefaults()
		// What depends on the rest of the file is told by its comment.
		switch doc := doc.(type) {
		case *mutatorsvc.Config:
			doc.Mutators = nil
		case *validatorsvc.Config:
			doc.Validators, doc.Quota.Rules[0].Noun = nil, ""
		}
		b.sections = nil
		if err := b.add("", reflect.ValueOf(doc).Elem()); err != nil {
			return nil, err
		}
		kinds[i].Sections = b.sections
		if err := kinds[i].readExample(root); err != nil {
			return nil, err
		}
	}
	b.sections = nil
	for len(b.waiting) > 0 {
		t := b.waiting[0]
		b.waiting = b.waiting[1:]
		if err := b.add(t.Name(), reflect.New(t).Elem()); err != nil { // it may find others
			return nil, err
		}
	}
	return map[string]any{"Kinds": kinds, "Shared": b.sections}, nil
}

func (k *kind) readExample(root string) error {
	data, err := os.ReadFile(filepath.Join(root, k.ExampleFile))
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		if strings.Contains(document, "\nkind: "+k.Name+"\n") {
			k.Example = strings.TrimSpace(document[strings.Index(document, "apiVersion:"):])
			return nil
		}
	}
	return fmt.Errorf("%s has no %s (%w)", k.ExampleFile, k.Name, err)
}

// book collects sections.
type book struct {
	root     string
	words    *words
	comments map[string]comments // by package
	sections []section
	shared   map[reflect.Type]bool // types of sdk/config, described once for all kinds
	waiting  []reflect.Type        // those of them that have no section yet
}

// add describes the struct v, and then the structs in it.
func (b *book) add(title string, v reflect.Value) error {
	at := len(b.sections)
	b.sections = append(b.sections, section{}) // its place, before those of its fields
	docs, err := b.docs(v.Type())
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names[f.Name] = code(name)
	}
	s := section{Title: title}
	if title != "" {
		_, rest, _ := strings.Cut(docs.doc, " ") // the type's name, which only Go has
		s.Doc = code(title) + " " + prose(rest, names)
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Anonymous {
			continue
		}
		owner := v.Type()
		if len(f.Index) > 1 { // promoted from an embedded struct
			owner = v.Type().FieldByIndex(f.Index[:len(f.Index)-1]).Type
		}
		docs, err := b.docs(owner)
		if err != nil {
			return err
		}
		comment := docs.fields[f.Name]
		if comment == "" {
			return fmt.Errorf("%s.%s has no comment", owner, f.Name)
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		value := v.FieldByIndex(f.Index)
		word, own, err := b.typeOf(strings.TrimPrefix(title+"."+name, "."), value)
		if err != nil {
			return err
		}
		r := row{Name: name, Type: word, Doc: meaning(prose(comment, names), code(name)), Required: options == ""}
		if !own && !value.IsZero() {
			if r.Default, err = flow(value); err != nil {
				return err
			}
		}
		s.Fields = append(s.Fields, r)
	}
	b.sections[at] = s
	return nil
}

// typeOf says what a YAML value is; own tells that it has a section of its own, below path.
func (b *book) typeOf(path string, v reflect.Value) (word string, own bool, err error) {
	t := v.Type()
	switch {
	case strings.HasPrefix(t.PkgPath(), "k8s.io/"):
		return b.words.of("kubernetes", t.String()), false, nil
	case t.PkgPath() == module+"sdk/config":
		if !b.shared[t] {
			b.shared[t] = true
			b.waiting = append(b.waiting, t)
		}
		return link(t.Name()), false, nil
	case t == reflect.TypeFor[[]byte]():
		return "base64", false, nil // as encoding/json reads it
	}
	switch t.Kind() {
	case reflect.String:
		return "string", false, nil
	case reflect.Bool:
		return "boolean", false, nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "integer", false, nil
	case reflect.Struct:
		return link(path), true, b.add(path, v)
	case reflect.Pointer:
		if v.IsNil() {
			v = reflect.New(t.Elem())
		}
		return b.typeOf(path, v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			v = reflect.MakeSlice(t, 1, 1)
		}
		word, own, err = b.typeOf(path+"[]", v.Index(0))
		return "list of " + plural(word), own, err
	case reflect.Map:
		word, own, err = b.typeOf(path+"{}", reflect.New(t.Elem()).Elem())
		return "map of " + plural(word), own, err
	default:
		return "", false, fmt.Errorf("%s is a %s, for which there is no word", path, t)
	}
}

func (b *book) docs(t reflect.Type) (*typeDocs, error) {
	pkg := strings.TrimPrefix(t.PkgPath(), module)
	if b.comments[pkg] == nil {
		read, err := readComments(filepath.Join(b.root, pkg))
		if err != nil {
			return nil, err
		}
		b.comments[pkg] = read
	}
	docs, ok := b.comments[pkg][t.Name()]
	if !ok {
		return nil, fmt.Errorf("%s has no type %s", pkg, t.Name())
	}
	return docs, nil
}

// flow writes a default as it would stand in YAML.
func flow(v reflect.Value) (string, error) {
	data, err := yaml.Marshal(v.Interface())
	text := strings.TrimSpace(string(data))
	switch {
	case strings.HasPrefix(text, "- "):
		text = "[" + strings.ReplaceAll(strings.TrimPrefix(text, "- "), "\n- ", ", ") + "]"
	case strings.Contains(text, ": "):
		text = "{" + strings.ReplaceAll(text, "\n", ", ") + "}"
	}
	return text, err
}

func plural(word string) string {
	if strings.HasPrefix(word, "[") {
		return word
	}
	return word + "s"
}

// meaning is a field's comment without the field's name, which stands beside it.
func meaning(comment, name string) string {
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(comment, name+verb); ok {
			return strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	return comment
}

// link leads to the section of a title, under the name that GitHub gives it.
func link(title string) string {
	anchor := regexp.MustCompile(`[^a-z0-9-]`).ReplaceAllString(strings.ToLower(title), "")
	return fmt.Sprintf("[%s](#%s)", title, anchor)
}

// prose makes one line of a comment, with Go's names replaced by YAML's.
func prose(comment string, names map[string]string) string {
	line := strings.ReplaceAll(strings.Join(strings.Fields(comment), " "), "|", `\|`)
	return regexp.MustCompile(`\b[A-Z]\w*\b`).ReplaceAllStringFunc(line, func(word string) string {
		if name, ok := names[word]; ok {
			return name
		}
		return word
	})
}
