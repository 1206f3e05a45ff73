// Package manifest reads Kubernetes objects from files, folders and standard input.
package manifest

import (
	"fmt"
	"strings"

	"github.com/gatefold/gatefold/cli/internal/tree"
	"github.com/gatefold/gatefold/sdk/config"
)

// Object is one object of a manifest.
type Object struct {
	// Source says where the object begins, as "file:line".
	Source string
	// Root is the object as it was written. Lists are expanded, so it is never a List.
	Root *tree.Node
}

// APIVersion returns the object's apiVersion, which is never empty.
func (o Object) APIVersion() string { return o.Root.GetString("apiVersion") }

// Kind returns the object's kind, which is never empty.
func (o Object) Kind() string { return o.Root.GetString("kind") }

// IsImageReview tells whether the object is what kube-apiserver's ImagePolicyWebhook plugin asks about: it has no
// name, and its namespace is part of the question.
func (o Object) IsImageReview() bool { return isImageReview(o.Root) }

// Name returns metadata.name, which may be empty when there is a metadata.generateName, and of an ImageReview.
func (o Object) Name() string { return o.Root.GetString("metadata", "name") }

// Namespace returns metadata.namespace, or "". Of an ImageReview it is spec.namespace.
func (o Object) Namespace() string {
	if o.IsImageReview() {
		return o.Root.GetString("spec", "namespace")
	}
	return o.Root.GetString("metadata", "namespace")
}

// Ref names the object for people, as kubectl does: "pod/web", "deployment.apps/web". An object to be
// named by the apiserver ends in "*". ImageReviews are told apart by nothing but where they stand.
func (o Object) Ref() string {
	kind := strings.ToLower(o.Kind())
	if group, _, found := strings.Cut(o.APIVersion(), "/"); found {
		kind += "." + group
	}
	name := o.Name()
	if name == "" && o.IsImageReview() {
		return kind
	}
	if name == "" {
		name = o.Root.GetString("metadata", "generateName") + "*"
	}
	return kind + "/" + name
}

// check says what makes a value no Kubernetes object, or nil.
func check(n *tree.Node) error {
	if n.Kind != tree.Object {
		return fmt.Errorf("not an object; a manifest is a mapping with apiVersion, kind and metadata")
	}
	for _, name := range []string{"apiVersion", "kind"} {
		if n.GetString(name) == "" {
			return fmt.Errorf("%s is missing or not a text", name)
		}
	}
	if isList(n) {
		return nil
	}
	if n.GetString("apiVersion") == config.APIVersion {
		return fmt.Errorf("%s is for Gatefold's own programs, and no object of a cluster; leave the file out", n.GetString("kind"))
	}
	if isImageReview(n) {
		return checkImageReview(n)
	}
	meta := n.Get("metadata")
	if meta == nil || meta.Kind != tree.Object {
		return fmt.Errorf("metadata is missing or not a mapping")
	}
	for _, name := range []string{"name", "namespace", "generateName"} {
		// null is absent, and what a template leaves behind where a value is not set
		if v := meta.Get(name); v != nil && v.Kind != tree.String && v.Text != "null" {
			return fmt.Errorf("metadata.%s is %s, not a text; put it in quotes", name, v.JSON())
		}
	}
	if meta.GetString("name") == "" && meta.GetString("generateName") == "" {
		return fmt.Errorf("metadata.name or metadata.generateName is missing")
	}
	return nil
}

func isImageReview(n *tree.Node) bool {
	group, _, _ := strings.Cut(n.GetString("apiVersion"), "/")
	return group == "imagepolicy.k8s.io" && n.GetString("kind") == "ImageReview"
}

func checkImageReview(n *tree.Node) error {
	if spec := n.Get("spec"); spec == nil || spec.Kind != tree.Object {
		return fmt.Errorf("spec is missing or not a mapping; an ImageReview is nothing without it")
	}
	if v := n.Get("spec", "namespace"); v != nil && v.Kind != tree.String && v.Text != "null" {
		return fmt.Errorf("spec.namespace is %s, not a text; put it in quotes", v.JSON())
	}
	return nil
}

// isList tells whether n is a List as "kubectl get" prints it, or one of the typed lists.
func isList(n *tree.Node) bool {
	items := n.Get("items")
	return items != nil && items.Kind == tree.Array && strings.HasSuffix(n.GetString("kind"), "List")
}

// Objects returns the objects that n is, more than one of a List. Source says where n begins, as "file:line".
func Objects(n *tree.Node, source string) ([]Object, error) { return expand(n, source) }

// expand turns a document into the objects in it.
func expand(n *tree.Node, source string) ([]Object, error) {
	if err := check(n); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	if !isList(n) {
		return []Object{{Source: source, Root: n}}, nil
	}
	var all []Object
	for i, item := range n.Get("items").Items {
		inherit(item, n)
		objects, err := expand(item, source)
		if err != nil {
			return nil, fmt.Errorf("%w (items[%d] of this %s)", err, i, n.GetString("kind"))
		}
		all = append(all, objects...)
	}
	return all, nil
}

// inherit gives an item of a typed list, such as PodList, the type that only the list states.
func inherit(item, list *tree.Node) {
	kind := strings.TrimSuffix(list.GetString("kind"), "List")
	if kind == "" || item.Kind != tree.Object || item.Get("kind") != nil || item.Get("apiVersion") != nil {
		return
	}
	item.Members = append([]tree.Member{
		{Name: "apiVersion", Value: tree.NewString(list.GetString("apiVersion"))},
		{Name: "kind", Value: tree.NewString(kind)},
	}, item.Members...)
}
