package identitytest

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"testing"

	kubejson "sigs.k8s.io/json"
)

// Decode decodes JSON as kube-apiserver does.
func Decode(t testing.TB, object []byte) any {
	t.Helper()
	var value any
	if err := kubejson.UnmarshalCaseSensitivePreserveInts(object, &value); err != nil {
		t.Fatalf("decoding %s: %v", object, err)
	}
	return value
}

// Normalise takes away what means nothing in a pod: the references' typed encoding adds empty values, and
// volumes and mounts are compared without their order. Variables keep theirs, for $(NAME) may refer to
// earlier ones only; containers too.
func Normalise(t testing.TB, object []byte) map[string]any {
	t.Helper()
	pod := prune(Decode(t, object)).(map[string]any)
	if metadata, ok := pod["metadata"].(map[string]any); ok && metadata["namespace"] == Namespace {
		delete(metadata, "namespace")
	}
	spec, _ := pod["spec"].(map[string]any)
	byName(spec, "volumes", "name")
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			byName(c.(map[string]any), "volumeMounts", "mountPath")
		}
	}
	return pod
}

func prune(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			pruned := prune(member)
			if pruned == nil {
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

func byName(owner map[string]any, list, key string) {
	elements, ok := owner[list].([]any)
	if !ok {
		return
	}
	named := map[string]any{}
	for i, e := range elements {
		name := fmt.Sprint(e.(map[string]any)[key])
		if _, twice := named[name]; twice {
			name = fmt.Sprintf("%s#%d", name, i)
		}
		named[name] = e
	}
	owner[list] = named
}

// AssertNothingLost fails unless all of before is in after. Lists may have grown, at their beginning too.
// An element of a list that is named in replaced, by a name or by a pattern of path.Match, may have become
// another one.
func AssertNothingLost(t testing.TB, before, after []byte, replaced ...string) {
	t.Helper()
	loss{t, replaced}.object("", Decode(t, before), Decode(t, after))
}

type loss struct {
	t        testing.TB
	replaced []string
}

func (l loss) object(at string, before, after any) {
	l.t.Helper()
	switch before := before.(type) {
	case map[string]any:
		got, ok := after.(map[string]any)
		if !ok {
			l.t.Errorf("%s was an object, is %v", at, after)
			return
		}
		for key, member := range before {
			now, ok := got[key]
			if !ok {
				l.t.Errorf("%s/%s is lost", at, key)
				continue
			}
			l.object(at+"/"+key, member, now)
		}
	case []any:
		got, ok := after.([]any)
		if !ok {
			l.t.Errorf("%s was a list, is %v", at, after)
			return
		}
		l.list(at, before, got)
	case nil: // null and absent may become a list
	default:
		if !reflect.DeepEqual(before, after) {
			l.t.Errorf("%s was %v, is %v", at, before, after)
		}
	}
}

// list finds each element of before in after, in the same order.
func (l loss) list(at string, before, after []any) {
	l.t.Helper()
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
			l.t.Errorf("%s/%d (%s) is lost, or stands before what it stood after", at, i, name)
			return
		}
		l.object(fmt.Sprintf("%s/%d", at, i), element, after[next])
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
