package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
)

// identityProfile is one profile of identity, and what it reads and writes of metadata.
type identityProfile struct {
	Name, Doc, Prefix   string // Prefix is empty where it is not configured
	Annotations, Labels []key
}

// key is an annotation or a label. On says whose, and what is done with it.
type key struct{ Name, On, Meaning string }

// annotations reads the constants of each profile of identity, and the comments above them, which begin with
// whose they are: "On the pod: ".
func annotations(_ context.Context, root string, _ *words) (any, error) {
	cfg := &mutatorsvc.Config{}
	fill(reflect.ValueOf(&cfg.Identity).Elem())
	cfg.SetDefaults()
	var profiles []identityProfile
	profile := reflect.ValueOf(cfg.Identity)
	for _, f := range reflect.VisibleFields(profile.Type()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := identityProfile{Name: name}
		if prefix := profile.FieldByIndex(f.Index).Elem().FieldByName("AnnotationPrefix"); prefix.IsValid() {
			p.Prefix = prefix.String()
		}
		if err := p.read(filepath.Join(root, "mutator-svc/internal/identity", name)); err != nil {
			return nil, err
		}
		profiles = append(profiles, p)
	}
	return profiles, nil
}

var keyName = regexp.MustCompile(`^(annotation|label)[A-Z]`)

func (p *identityProfile) read(dir string) error {
	return eachFile(dir, func(file string, syntax *ast.File) error {
		if syntax.Doc != nil {
			first, _, _ := strings.Cut(syntax.Doc.Text(), "\n\n")
			_, rest, _ := strings.Cut(prose(first, nil), syntax.Name.Name+" ")
			p.Doc = strings.ToUpper(rest[:1]) + rest[1:]
		}
		for _, decl := range syntax.Decls {
			constants, ok := decl.(*ast.GenDecl)
			if !ok || constants.Tok != token.CONST {
				continue
			}
			for _, spec := range constants.Specs {
				constant, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				if err := p.add(constant); err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
			}
		}
		return nil
	})
}

func (p *identityProfile) add(constant *ast.ValueSpec) error {
	name := constant.Names[0].Name
	match := keyName.FindStringSubmatch(name)
	if match == nil {
		return nil
	}
	on, meaning, ok := strings.Cut(prose(constant.Doc.Text(), nil), ": ")
	if !ok || len(constant.Values) != 1 || literal(constant.Values[0]) == "" {
		return fmt.Errorf("%s: want a text, and a comment such as \"On the pod: what it means.\"", name)
	}
	k := key{literal(constant.Values[0]), strings.TrimPrefix(on, "On "), strings.ToUpper(meaning[:1]) + meaning[1:]}
	if !strings.Contains(k.Name, "/") {
		k.Name = p.Prefix + "/" + k.Name
	}
	if match[1] == "label" {
		p.Labels = append(p.Labels, k)
	} else {
		p.Annotations = append(p.Annotations, k)
	}
	return nil
}

// fill makes something of each pointer to a struct in v, so that its defaults are set.
func fill(v reflect.Value) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		field := v.FieldByIndex(f.Index)
		if field.Kind() != reflect.Pointer || field.Type().Elem().Kind() != reflect.Struct || strings.HasPrefix(field.Type().Elem().PkgPath(), "k8s.io/") {
			continue
		}
		field.Set(reflect.New(field.Type().Elem()))
		fill(field.Elem())
	}
}
