package pod

import (
	"encoding/json"
	"reflect"
	"slices"
)

// covers tells whether a container is one that was put there, with no more than others may have added to it
// since: what kube-apiserver fills in, what a LimitRange asks for, variables and mounts of other names.
func covers(has, wants []byte) bool {
	var left, right any
	return json.Unmarshal(has, &left) == nil && json.Unmarshal(wants, &right) == nil && within(left, right)
}

// mayBeAdded are the members that do not change what a container does.
func mayBeAdded(name string) bool {
	switch name {
	case "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "limits", "requests", "seccompProfile", "runAsNonRoot":
		return true
	}
	return false
}

func within(has, wants any) bool {
	switch wants := wants.(type) {
	case map[string]any:
		members, ok := has.(map[string]any)
		for name, member := range wants {
			if !within(members[name], member) {
				return false
			}
		}
		for name := range members {
			if _, wanted := wants[name]; !wanted && !mayBeAdded(name) {
				return false
			}
		}
		return ok || has == nil && len(wants) == 0
	case []any:
		elements, _ := has.([]any)
		return len(elements) >= len(wants) && reflect.DeepEqual(elements[:len(wants)], wants) && addsNamesOnly(elements[len(wants):], wants)
	}
	return reflect.DeepEqual(has, wants)
}

// addsNamesOnly tells whether more than what is wanted are elements with names of their own: of two variables
// of a name the later one counts.
func addsNamesOnly(more, wanted []any) bool {
	for _, element := range more {
		name := nameOf(element)
		if name == "" || slices.ContainsFunc(wanted, func(w any) bool { return nameOf(w) == name }) {
			return false
		}
	}
	return true
}

func nameOf(element any) string {
	object, _ := element.(map[string]any)
	name, _ := object["name"].(string)
	return name
}
