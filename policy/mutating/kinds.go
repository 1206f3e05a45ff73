package mutating

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	definitions "k8s.io/apiextensions-apiserver/pkg/client/applyconfiguration"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	applyconfigurations "k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/gatefold/gatefold/policy/internal/document"
	"github.com/gatefold/gatefold/sdk/config"
)

// kinds knows how objects are read and merged.
type kinds struct {
	builtIn     builtIn
	definitions managedfields.TypeConverter // for CustomResourceDefinitions themselves
	guess       managedfields.TypeConverter // for kinds without a schema
	custom      map[schema.GroupVersionKind]*customKind
	schemas     Schemas // of all others; nil: none are known
	// resources are the custom resources of which there is a definition.
	resources []schema.GroupResource
}

// customKind is what a CustomResourceDefinition says about one of its versions.
type customKind struct {
	converter managedfields.TypeConverter
	// structural is nil where the definition has no schema, or one without structure.
	structural *structuralschema.Structural
	// versions are all those of the definition, and served those that are served, if they differ in their name
	// only: the definition converts them by strategy None.
	versions, served []string
}

// newKinds returns the built-in kinds, and those of schemas, which may be nil.
func newKinds(schemas Schemas) *kinds {
	own := runtime.NewScheme()
	utilruntime.Must(apiextensionsv1.AddToScheme(own)) // it adds Go types, and cannot fail
	return &kinds{
		definitions: definitions.NewTypeConverter(own),
		builtIn:     builtIn{applyconfigurations.NewTypeConverter(scheme.Scheme)},
		guess:       managedfields.NewDeducedTypeConverter(),
		custom:      map[schema.GroupVersionKind]*customKind{},
		schemas:     schemas,
	}
}

// learn adds the kinds that CustomResourceDefinitions define.
func (k *kinds) learn(definitions []*document.Document) config.Problems {
	var problems config.Problems
	for _, d := range definitions {
		if d.Object.GroupVersionKind().Version != "v1" {
			continue // v1beta1 has long been gone from clusters
		}
		if err := k.define(d.Object); err != nil {
			problems = append(problems, d.Problem("spec", "the schema cannot be used: %v", err))
		}
	}
	return problems
}

// learnFromCluster adds those that a cluster's definitions define, but for kinds that those in files define: what
// these say counts for all versions.
func (k *kinds) learnFromCluster(definitions []*unstructured.Unstructured, files []*document.Document) error {
	for _, definition := range definitions {
		if definition.GroupVersionKind().Version != "v1" || slices.ContainsFunc(files, func(d *document.Document) bool {
			return d.Object.GetName() == definition.GetName()
		}) {
			continue
		}
		if err := k.define(definition); err != nil {
			return fmt.Errorf("CustomResourceDefinition %s among the cluster's objects: the schema cannot be used: %w", definition.GetName(), err)
		}
	}
	return nil
}

func (k *kinds) define(u *unstructured.Unstructured) error {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	// Not strictly, as kube-apiserver would have stored it: these files need not be written for the policies.
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, definition); err != nil {
		return err
	}
	apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(definition)
	group, names := definition.Spec.Group, definition.Spec.Names
	k.resources = append(k.resources, schema.GroupResource{Group: group, Resource: names.Plural})
	var versions, served []string
	for i := range definition.Spec.Versions {
		v := &definition.Spec.Versions[i]
		versions = append(versions, v.Name)
		if v.Served && definition.Spec.Conversion.Strategy == apiextensionsv1.NoneConverter {
			served = append(served, v.Name)
		}
	}
	for i := range definition.Spec.Versions {
		v := &definition.Spec.Versions[i]
		// The OpenAPI that kube-apiserver publishes of the kind, of which it makes its own converter.
		published, err := builder.BuildOpenAPIV3(definition, v.Name, builder.Options{})
		if err != nil {
			return fmt.Errorf("version %s: %w", v.Name, err)
		}
		converter, err := managedfields.NewTypeConverter(published.Components.Schemas, false)
		if err != nil {
			return fmt.Errorf("version %s: %w", v.Name, err)
		}
		structural, err := structure(v)
		if err != nil {
			return fmt.Errorf("version %s: %w", v.Name, err)
		}
		k.custom[schema.GroupVersionKind{Group: group, Version: v.Name, Kind: names.Kind}] = &customKind{converter, structural, versions, served}
	}
	return nil
}

// structure returns the schema from which kube-apiserver takes the defaults of the version; nil when it has none.
func structure(v *apiextensionsv1.CustomResourceDefinitionVersion) (*structuralschema.Structural, error) {
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return nil, nil
	}
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, internal, nil); err != nil {
		return nil, err
	}
	s, err := structuralschema.NewStructural(internal)
	if err != nil {
		return nil, err
	}
	return s, defaulting.PruneDefaults(s)
}

// builtIn knows the kinds of k8s.io/api by the schemas of client-go, which are made of the same definitions as
// those that kube-apiserver publishes.
type builtIn struct{ managedfields.TypeConverter }

// ObjectToTyped fails for kinds that are not published, with kube-apiserver's words.
func (b builtIn) ObjectToTyped(object runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if gvk := object.GetObjectKind().GroupVersionKind(); unpublished(gvk) {
		return nil, fmt.Errorf("no corresponding type for %v", gvk)
	}
	return b.TypeConverter.ObjectToTyped(object, options...)
}

// unpublished tells whether kube-apiserver finds no schema of the kind, because it is that of a subresource and
// published with the resource's group, or not at all.
func unpublished(gvk schema.GroupVersionKind) bool {
	switch gvk.Group {
	case "":
		return strings.HasSuffix(gvk.Kind, "Options") // of a connection
	case "autoscaling":
		return gvk.Kind == "Scale"
	case "authentication.k8s.io":
		return gvk.Kind == "TokenRequest"
	case "policy":
		return gvk.Kind == "Eviction"
	default:
		return false
	}
}

// has tells whether b can say something about a kind. Of some, client-go has no schema, and kube-apiserver has.
func (b builtIn) has(gvk schema.GroupVersionKind) bool {
	stub := &unstructured.Unstructured{}
	stub.SetGroupVersionKind(gvk)
	_, err := b.TypeConverter.ObjectToTyped(stub)
	return err == nil || unpublished(gvk)
}

// convertible are the versions, in their order, to which an object of a kind can be converted here.
func (k *kinds) convertible(gvk schema.GroupVersionKind) []string {
	custom := k.custom[gvk]
	if custom == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(custom.served), func(version string) bool { return version == gvk.Version })
}

// of returns what is known of a kind, which is not nil. group is the resource's: that of a scale is another one.
func (k *kinds) of(gvk schema.GroupVersionKind, group string) *kind {
	result := &kind{gvk: gvk, interfaces: interfaces(), custom: k.custom[gvk], schemas: k.schemas}
	result.customScale = gvk.Kind == "Scale" && gvk.Group == "autoscaling" && !scheme.Scheme.IsGroupRegistered(group)
	result.typed = result.custom == nil && scheme.Scheme.Recognizes(gvk)
	switch {
	case result.custom != nil:
		result.merges = result.custom.converter
	case result.typed && k.builtIn.has(gvk):
		result.merges = k.builtIn
	case gvk == apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"):
		result.merges = k.definitions
	case k.schemas == nil:
		result.merges = k.guess
	}
	return result
}

// notes warns of an ApplyConfiguration that is about resources of whose schema nothing is known.
func (k *kinds) notes(d *document.Document, p *v1.MutatingAdmissionPolicy) []string {
	if k.schemas != nil {
		return nil
	}
	applies := slices.ContainsFunc(p.Spec.Mutations, func(m v1.Mutation) bool { return m.PatchType == v1.PatchTypeApplyConfiguration })
	if !applies {
		return nil
	}
	var unknown []string
	for _, rule := range p.Spec.MatchConstraints.ResourceRules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				name := schema.GroupResource{Group: group, Resource: resource}
				if !k.knows(name) && !slices.Contains(unknown, name.String()) {
					unknown = append(unknown, name.String())
				}
			}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s:%d: %s '%s': no schema of %s: an ApplyConfiguration replaces its lists as a whole, and nothing checks the fields; "+
		"put its CustomResourceDefinition among these files", d.File, d.Line, policyKind, p.Name, strings.Join(unknown, ", "))}
}

func (k *kinds) knows(r schema.GroupResource) bool {
	resource, _, _ := strings.Cut(r.Resource, "/")
	return scheme.Scheme.IsGroupRegistered(r.Group) || r.Group == apiextensionsv1.GroupName || r.Group == "*" || resource == "*" && slices.ContainsFunc(k.resources, func(known schema.GroupResource) bool { return known.Group == r.Group }) ||
		slices.Contains(k.resources, schema.GroupResource{Group: r.Group, Resource: resource})
}
