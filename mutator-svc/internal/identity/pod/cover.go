package pod

import (
	"encoding/json"
	"reflect"
)

// covers tells whether a JSON value has all that another one has: objects their members, and lists of
// objects their elements at the beginning. Anything else is the same or not.
func covers(has, wants []byte) bool {
	var left, right any
	return json.Unmarshal(has, &left) == nil && json.Unmarshal(wants, &right) == nil && within(left, right)
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
		return ok || has == nil && len(wants) == 0
	case []any:
		elements, _ := has.([]any)
		if len(wants) == 0 || len(elements) < len(wants) {
			return len(elements) == len(wants)
		}
		// Elements are compared whole: a variable without a value is not one with another's.
		_, objects := wants[0].(map[string]any)
		return reflect.DeepEqual(elements[:len(wants)], wants) && (objects || len(elements) == len(wants))
	}
	return reflect.DeepEqual(has, wants)
}
