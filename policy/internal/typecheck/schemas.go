package typecheck

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gatefold/gatefold/policy/internal/document"
)

// schemas are the schemas of the kinds that kube-apiserver brings along, and of those that
// CustomResourceDefinitions in files define.
type schemas struct {
	custom map[schema.GroupVersionKind]*spec.Schema
	known  map[schema.GroupVersionKind]*spec.Schema // those that were asked for
}

func newSchemas(docs []*document.Document) *schemas {
	s := &schemas{custom: map[schema.GroupVersionKind]*spec.Schema{}, known: map[schema.GroupVersionKind]*spec.Schema{}}
	for _, d := range docs {
		kind, ok := d.Defines()
		if !ok {
			continue
		}
		versions, _, _ := unstructured.NestedSlice(d.Object.Object, "spec", "versions")
		for _, version := range versions {
			fields, _ := version.(map[string]any)
			name, _, _ := unstructured.NestedString(fields, "name")
			content, ok, _ := unstructured.NestedMap(fields, "schema", "openAPIV3Schema")
			if !ok {
				continue
			}
			// What is wrong with it is not this program's business: it then knows no schema.
			raw, err := json.Marshal(content)
			defined := &spec.Schema{}
			if err != nil || json.Unmarshal(raw, defined) != nil {
				continue
			}
			if defined.Properties == nil {
				defined.Properties = map[string]spec.Schema{}
			}
			// As kube-apiserver serves it, whatever the definition says.
			defined.Properties["metadata"] = *reflected(reflect.TypeFor[metav1.ObjectMeta]())
			defined.Properties["apiVersion"], defined.Properties["kind"] = *spec.StringProperty(), *spec.StringProperty()
			s.custom[kind.WithVersion(name)] = defined
		}
	}
	return s
}

// ResolveSchema implements resolver.SchemaResolver.
func (s *schemas) ResolveSchema(gvk schema.GroupVersionKind) (*spec.Schema, error) {
	if found := s.custom[gvk]; found != nil {
		return found, nil
	}
	if found := s.known[gvk]; found != nil {
		return found, nil
	}
	object, err := scheme.Scheme.New(gvk)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", gvk, resolver.ErrSchemaNotFound)
	}
	found := reflected(reflect.TypeOf(object).Elem())
	s.known[gvk] = found
	return found, nil
}

// reflected returns the schema of a Go type of the API, as far as the types of its fields go.
func reflected(t reflect.Type) *spec.Schema { return reflection{}.of(t) }

// reflection has the types within which the one at hand is: of one that is within itself nothing is said.
type reflection map[reflect.Type]bool

// openAPITyped are types that are written in JSON in a shape of their own.
type openAPITyped interface {
	OpenAPISchemaType() []string
	OpenAPISchemaFormat() string
}

func (r reflection) of(t reflect.Type) *spec.Schema {
	if typed, ok := reflect.TypeAssert[openAPITyped](reflect.New(t)); ok {
		return &spec.Schema{SchemaProps: spec.SchemaProps{Type: typed.OpenAPISchemaType(), Format: typed.OpenAPISchemaFormat()}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return r.of(t.Elem())
	case reflect.Bool:
		return spec.BooleanProperty()
	case reflect.String:
		return spec.StringProperty()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return ofType("integer")
	case reflect.Float32, reflect.Float64:
		return ofType("number")
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return spec.StrFmtProperty("byte")
		}
		return spec.ArrayProperty(r.of(t.Elem()))
	case reflect.Map:
		return spec.MapProperty(r.of(t.Elem()))
	case reflect.Struct:
		object := ofType("object")
		if !r[t] {
			r[t] = true
			defer delete(r, t)
			object.Properties = map[string]spec.Schema{}
			r.addFields(t, object.Properties)
		}
		return object
	}
	return &spec.Schema{} // of no type: nothing is said about it
}

func (r reflection) addFields(t reflect.Type, into map[string]spec.Schema) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && name == "" || strings.Contains(options, "inline"):
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			r.addFields(embedded, into)
		case name != "":
			into[name] = *r.of(f.Type)
		}
	}
}

func ofType(name string) *spec.Schema {
	return &spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{name}}}
}
