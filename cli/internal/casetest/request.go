package casetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/resource"
	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/tree"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk/config"
)

const (
	defaultNamespace = "default"
	defaultUser      = "kubernetes-admin"
)

// question makes the request of case i, as kube-apiserver would send it. The note says what was guessed.
func (d *document) question(i int, mapper *resource.Mapper) (q *review.Question, note string, problems config.Problems) {
	c := &d.Cases[i]
	objects := map[string]manifest.Object{}
	for name, s := range map[string]*Source{"object": c.Object, "oldObject": c.OldObject} {
		if s != nil {
			o, bad := d.object(s, "cases", i, name)
			objects[name], problems = o, append(problems, bad...)
		}
	}
	if len(problems) > 0 {
		problems.Sort()
		return nil, "", problems
	}
	about := "object"
	if c.Object == nil {
		about = "oldObject"
	}
	if c.Object != nil && c.OldObject != nil {
		if problem := d.another(i, objects["object"], objects["oldObject"]); problem != nil {
			return nil, "", config.Problems{*problem}
		}
	}
	q = &review.Question{Object: objects[about]}
	gvk, res, err := mapper.OfObject(q.Object.Root)
	if err == nil {
		res, err = served(c, gvk, res)
	}
	if err != nil {
		return nil, "", config.Problems{d.problem(err.Error(), "cases", i, about)}
	}
	if res.Guessed {
		note = fmt.Sprintf("%s: the resource of %s %s is guessed to be %s; put its CustomResourceDefinition among the objects",
			d.file, gvk.GroupVersion(), gvk.Kind, res.Resource) // once a file
	}
	namespace, err := c.namespaceOf(q.Object, gvk, res)
	if err != nil {
		return nil, "", config.Problems{d.problem(err.Error(), "cases", i, "namespace")}
	}
	q.Implicit = res.Namespaced && q.Object.Namespace() == ""
	q.Request = c.request(gvk, res.GroupVersionResource)
	q.Request.Name, q.Request.Namespace = q.Object.Name(), namespace
	if o, there := objects["oldObject"]; there {
		q.Root = c.sent(o, namespace, res.Namespaced)
		q.Request.OldObject = q.Root.JSON()
	}
	if o, there := objects["object"]; there {
		q.Root = c.sent(o, namespace, res.Namespaced)
		q.Request.Object = q.Root.JSON()
	}
	return q, note, nil
}

// another says in what the old object of an update is another one than the new.
func (d *document) another(i int, object, old manifest.Object) *config.Problem {
	for _, is := range []struct{ what, now, before string }{
		{"kind", object.APIVersion() + " " + object.Kind(), old.APIVersion() + " " + old.Kind()},
		{"name", object.Name(), old.Name()},
		{"namespace", cmp.Or(d.Cases[i].Namespace, object.Namespace(), defaultNamespace), cmp.Or(old.Namespace(), d.Cases[i].Namespace, object.Namespace(), defaultNamespace)},
	} {
		if is.now != is.before {
			p := d.problem(fmt.Sprintf("its %s is %q, that of the object is %q; an update does not change it", is.what, is.before, is.now), "cases", i, "oldObject")
			return &p
		}
	}
	return nil
}

// namespaceOf is the namespace of the request about an object.
func (c *Case) namespaceOf(o manifest.Object, gvk schema.GroupVersionKind, res resource.Resource) (string, error) {
	switch {
	case gvk.GroupKind() == schema.GroupKind{Kind: "Namespace"}:
		return o.Name(), nil // kube-apiserver sends a namespace as being in itself
	case !res.Namespaced && c.Namespace != "":
		return "", fmt.Errorf("a %s is in no namespace; remove it", gvk.Kind)
	case !res.Namespaced:
		return "", nil
	case c.Namespace != "" && o.Namespace() != "" && c.Namespace != o.Namespace():
		return "", fmt.Errorf("the object says %s; keep one of them", o.Namespace())
	}
	return cmp.Or(c.Namespace, o.Namespace(), defaultNamespace), nil
}

// sent is an object as the request has it.
func (c *Case) sent(o manifest.Object, namespace string, namespaced bool) *tree.Node {
	n := o.Root.Clone()
	switch {
	case c.Operation == opConnect:
		n.Delete("metadata") // options have none; in a test it says what they are about
	case namespaced:
		n.Get("metadata").Set("namespace", tree.NewString(namespace), "name")
	}
	return n
}

// request is all but the objects of it.
func (c *Case) request(gvk schema.GroupVersionKind, served schema.GroupVersionResource) *admissionv1.AdmissionRequest {
	kind := &admissionv1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
	gvr := &admissionv1.GroupVersionResource{Group: served.Group, Version: served.Version, Resource: served.Resource}
	return &admissionv1.AdmissionRequest{
		Uid: string(uuid.NewUUID()), Kind: kind, Resource: gvr, SubResource: c.Subresource,
		RequestKind: kind, RequestResource: gvr, RequestSubResource: c.Subresource,
		Operation: admissionv1.Operation(admissionv1.Operation_value["OPERATION_"+c.Operation]),
		UserInfo:  c.User.info(), DryRun: c.DryRun, Options: options(c.Operation, c.DryRun),
	}
}

// served is the resource that is asked for. Most subresources take the object's own kind; those of others say by
// their kind what they are about, but for a Scale.
func served(c *Case, gvk schema.GroupVersionKind, res resource.Resource) (resource.Resource, error) {
	if c.Resource != "" {
		gvr, _ := schema.ParseResourceArg(c.Resource) // Validate has seen that it can be
		res.GroupVersionResource = *gvr
		return res, nil
	}
	core := func(name string, namespaced bool) (resource.Resource, error) {
		return resource.Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: name}, Namespaced: namespaced}, nil
	}
	switch gk := gvk.GroupKind(); gk {
	case schema.GroupKind{Group: "autoscaling", Kind: "Scale"}:
		return res, errors.New("a Scale may be that of many; say which with resource, such as deployments.v1.apps")
	case schema.GroupKind{Group: "policy", Kind: "Eviction"}, schema.GroupKind{Kind: "Binding"},
		schema.GroupKind{Kind: "PodAttachOptions"}, schema.GroupKind{Kind: "PodExecOptions"},
		schema.GroupKind{Kind: "PodPortForwardOptions"}, schema.GroupKind{Kind: "PodProxyOptions"}:
		if c.Subresource != "" { // a Binding has a resource of its own as well
			return core("pods", true)
		}
	case schema.GroupKind{Group: "authentication.k8s.io", Kind: "TokenRequest"}:
		return core("serviceaccounts", true)
	case schema.GroupKind{Kind: "ServiceProxyOptions"}:
		return core("services", true)
	case schema.GroupKind{Kind: "NodeProxyOptions"}:
		return core("nodes", false)
	}
	return res, nil
}

// info is the user with the groups that kube-apiserver's authentication adds.
func (u *User) info() *admissionv1.UserInfo {
	info := &admissionv1.UserInfo{Username: cmp.Or(u.Username, defaultUser), Uid: u.UID, Groups: slices.Clone(u.Groups)}
	add := func(groups ...string) {
		for _, g := range groups {
			if !slices.Contains(info.Groups, g) {
				info.Groups = append(info.Groups, g)
			}
		}
	}
	if account, is := strings.CutPrefix(info.GetUsername(), "system:serviceaccount:"); is {
		namespace, _, _ := strings.Cut(account, ":")
		add("system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	if info.GetUsername() == "system:anonymous" {
		add("system:unauthenticated")
	} else {
		add("system:authenticated")
	}
	for key, values := range u.Extra {
		if info.Extra == nil {
			info.Extra = map[string]*admissionv1.ExtraValue{}
		}
		info.Extra[key] = &admissionv1.ExtraValue{Values: values}
	}
	return info
}

// options are those of the API call. CONNECT has none: its options are the object.
func options(operation string, dryRun bool) []byte {
	if operation == opConnect {
		return nil
	}
	o := struct {
		Kind       string   `json:"kind"`
		APIVersion string   `json:"apiVersion"`
		DryRun     []string `json:"dryRun,omitempty"`
	}{Kind: operation[:1] + strings.ToLower(operation[1:]) + "Options", APIVersion: "meta.k8s.io/v1"}
	if dryRun {
		o.DryRun = []string{"All"}
	}
	data, _ := json.Marshal(o) // texts: it cannot fail
	return data
}
