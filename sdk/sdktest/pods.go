package sdktest

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"testing"

	kubejson "sigs.k8s.io/json"
)

// NormalisePod decodes a pod without what makes no difference, so that two that mean the same are equal: it
// leaves out empty values, such as Go types encode, and metadata.namespace where it is that of the request,
// and looks at volumes and mounts without their order. Variables keep theirs, for $(NAME) may refer to
// earlier ones only; containers too.
func NormalisePod(tb testing.TB, object []byte, namespace string) map[string]any {
	tb.Helper()
	pod, _ := prune(decode(tb, object)).(map[string]any)
	if metadata, ok := pod["metadata"].(map[string]any); ok && metadata["namespace"] == namespace {
		delete(metadata, "namespace")
	}
	spec, _ := pod["spec"].(map[string]any)
	byName(spec, "volumes", "name")
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			if c, ok := c.(map[string]any); ok {
				byName(c, "volumeMounts", "mountPath")
			}
		}
	}
	return pod
}

func prune(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			pruned := prune(member)
			if pruned == nil && key != "emptyDir" { // which is a volume's whole type
				delete(v, key)
				continue
			}
			v[key] = pruned
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			if pruned := prune(v[i]); pruned != nil {
				v[i] = pruned
			}
		}
	}
	return value
}

// byName makes a map of a list.
func byName(owner map[string]any, list, key string) {
	elements, ok := owner[list].([]any)
	if !ok {
		return
	}
	named := map[string]any{}
	for i, e := range elements {
		object, _ := e.(map[string]any)
		name := fmt.Sprint(object[key])
		if _, twice := named[name]; twice {
			name = fmt.Sprintf("%s#%d", name, i)
		}
		named[name] = e
	}
	owner[list] = named
}

// NothingLost fails the test unless all of the object before is in the object after, fields that no Go type
// knows too. Lists may have grown, at their beginning too. An element of a list whose name is in replaced, a
// name or a pattern of path.Match, may have become another one, and so may a member of an object, such as an
// annotation.
func NothingLost(tb testing.TB, before, after []byte, replaced ...string) {
	tb.Helper()
	loss{tb, replaced}.look("", decode(tb, before), decode(tb, after))
}

func decode(tb testing.TB, object []byte) any {
	tb.Helper()
	var value any
	if err := kubejson.UnmarshalCaseSensitivePreserveInts(object, &value); err != nil {
		tb.Fatalf("decoding %s: %v", object, err)
	}
	return value
}

type loss struct {
	tb       testing.TB
	replaced []string
}

func (l loss) look(at string, before, after any) {
	l.tb.Helper()
	switch before := before.(type) {
	case map[string]any:
		got, ok := after.(map[string]any)
		if !ok {
			l.tb.Errorf("%s was an object, is %v", at, after)
			return
		}
		for key, member := range before {
			if l.mayBeReplaced(key) {
				continue
			}
			now, ok := got[key]
			if !ok {
				l.tb.Errorf("%s/%s is lost", at, key)
				continue
			}
			l.look(at+"/"+key, member, now)
		}
	case []any:
		got, ok := after.([]any)
		if !ok {
			l.tb.Errorf("%s was a list, is %v", at, after)
			return
		}
		l.list(at, before, got)
	case nil: // null and absent may become a list
	default:
		if !reflect.DeepEqual(before, after) {
			l.tb.Errorf("%s was %v, is %v", at, before, after)
		}
	}
}

// list finds each element of before in after, in the same order.
func (l loss) list(at string, before, after []any) {
	l.tb.Helper()
	next := 0
	for i, element := range before {
		name := nameOf(element)
		if name != "" && l.mayBeReplaced(name) {
			continue
		}
		for next < len(after) && nameOf(after[next]) != name {
			next++
		}
		if next == len(after) {
			l.tb.Errorf("%s/%d (%s) is lost, or stands before what it stood after", at, i, name)
			return
		}
		l.look(fmt.Sprintf("%s/%d", at, i), element, after[next])
		next++
	}
}

func (l loss) mayBeReplaced(name string) bool {
	return slices.ContainsFunc(l.replaced, func(pattern string) bool {
		matches, _ := path.Match(pattern, name)
		return matches
	})
}

func nameOf(element any) string {
	object, _ := element.(map[string]any)
	name, _ := object["name"].(string)
	return name
}
