package cluster

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"
)

// FromObjects returns a fixed cluster of objects of any kind, typed or unstructured, which must not be changed
// afterwards. Of two with the same name the later one counts. What needs a namespace and has none is in
// "default", as with kubectl apply.
func FromObjects(objects ...runtime.Object) (*Cluster, error) {
	return FromObjectsIn(corev1.NamespaceDefault, objects...)
}

// FromObjectsIn is FromObjects with another namespace for what needs one and has none.
func FromObjectsIn(namespace string, objects ...runtime.Object) (*Cluster, error) {
	namespaces := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	accounts := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	configMaps := map[types.NamespacedName]*configMap{}
	for _, object := range objects {
		typed, err := typed(object)
		if err != nil {
			return nil, err
		}
		if typed, err = trim(typed); err != nil {
			return nil, err
		}
		switch o := typed.(type) {
		case *corev1.Namespace:
			err = namespaces.Add(o)
		case *corev1.ServiceAccount:
			o.Namespace = cmp.Or(o.Namespace, namespace)
			err = accounts.Add(o)
		case *corev1.ConfigMap:
			o.Namespace = cmp.Or(o.Namespace, namespace)
			name := types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
			configMaps[name] = &configMap{name: name}
			err = configMaps[name].Replace([]any{o}, "")
		}
		if err != nil {
			return nil, fmt.Errorf("keeping an object: %w", err)
		}
	}
	return &Cluster{
		Namespaces:      corev1listers.NewNamespaceLister(namespaces),
		ServiceAccounts: corev1listers.NewServiceAccountLister(accounts),
		configMaps:      configMaps,
		fixed:           fixed{namespace: namespace, objects: objects},
		known:           true,
	}, nil
}

// typed returns a copy of object, as its Go type where a cluster keeps its kind.
func typed(object runtime.Object) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object.DeepCopyObject(), nil
	}
	var into runtime.Object
	switch u.GroupVersionKind() {
	case corev1.SchemeGroupVersion.WithKind("Namespace"):
		into = &corev1.Namespace{}
	case corev1.SchemeGroupVersion.WithKind("ServiceAccount"):
		into = &corev1.ServiceAccount{}
	case corev1.SchemeGroupVersion.WithKind("ConfigMap"):
		into = &corev1.ConfigMap{}
	default:
		return u, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return nil, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return into, nil
}

// ReadObjects reads the objects in files, in their order: streams of YAML documents or of JSON values, of
// any kinds. Lists are taken apart. An error names the file and the line at which the document begins.
func ReadObjects(files ...string) ([]runtime.Object, error) {
	var all []runtime.Object
	var errs []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading objects: %w", err))
			continue
		}
		objects, err := ParseObjects(file, data)
		if err != nil {
			errs = append(errs, err)
		}
		for _, object := range objects {
			all = append(all, object)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

// ParseObjects is ReadObjects for one file's content; name stands for its path. Numbers are kept as int64
// where they are whole.
func ParseObjects(name string, data []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	var errs []error
	for _, d := range split(data) {
		objects, err := d.objects()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, d.line, err))
		}
		all = append(all, objects...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

// part is one document of a stream, and the line it begins at.
type part struct {
	line int
	text []byte
}

// separator begins a YAML document; what follows on its line is part of that document.
var separator = regexp.MustCompile(`(?m)^---(?:[ \t]|\r?$)`)

// split cuts a stream into documents. JSON values may follow each other without a separator.
func split(data []byte) []part {
	var parts []part
	start := 0
	ends := append(separator.FindAllIndex(data, -1), []int{len(data), len(data)})
	for _, end := range ends {
		d := trimmed(1+bytes.Count(data[:start], []byte("\n")), data[start:end[0]])
		start = end[1]
		if bytes.HasPrefix(d.text, []byte("{")) {
			parts = append(parts, splitJSON(d)...)
		} else {
			parts = append(parts, d)
		}
	}
	return parts
}

// trimmed drops what is blank before the text that begins at line.
func trimmed(line int, text []byte) part {
	rest := bytes.TrimLeft(text, " \t\r\n")
	return part{line + bytes.Count(text[:len(text)-len(rest)], []byte("\n")), rest}
}

// splitJSON returns the JSON values in d; from the first that is none on, it may be YAML in flow style.
func splitJSON(d part) []part {
	var parts []part
	decoder := json.NewDecoder(bytes.NewReader(d.text))
	for {
		done := decoder.InputOffset()
		next := trimmed(d.line+bytes.Count(d.text[:done], []byte("\n")), d.text[done:])
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return parts
		case err != nil:
			return append(parts, next)
		}
		parts = append(parts, part{next.line, value})
	}
}

func (d part) objects() ([]*unstructured.Unstructured, error) {
	raw, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return nil, fmt.Errorf("not YAML: %s", d.absolute(err))
	}
	if string(raw) == "null" {
		return nil, nil
	}
	object, _, err := unstructured.UnstructuredJSONScheme.Decode(raw, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("not an object of the Kubernetes API: %w", err)
	}
	if single, ok := object.(*unstructured.Unstructured); ok && !single.IsList() {
		return []*unstructured.Unstructured{single}, nil
	}
	var items []*unstructured.Unstructured
	err = meta.EachListItem(object, func(item runtime.Object) error {
		single, ok := item.(*unstructured.Unstructured)
		if !ok || single.GetKind() == "" {
			return fmt.Errorf("item %d of the list has no kind", len(items))
		}
		items = append(items, single)
		return nil
	})
	return items, err
}

var yamlLine = regexp.MustCompile(`\bline (\d+)`)

// absolute lets a parser's error speak of lines of the file instead of the document.
func (d part) absolute(err error) string {
	message := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	message = strings.ReplaceAll(strings.TrimPrefix(message, "yaml: "), "\n  ", " ")
	return yamlLine.ReplaceAllStringFunc(message, func(match string) string {
		line, err := strconv.Atoi(strings.TrimPrefix(match, "line "))
		if err != nil {
			return match
		}
		return fmt.Sprintf("line %d", d.line+line-1)
	})
}
