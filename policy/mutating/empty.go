package mutating

import (
	"cmp"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime"
)

// settleEmpty gives each empty list that an ApplyConfiguration has made the shape that it ends in. Upstream makes
// a nil list of [], which kube-apiserver accepts as a list, stores as null, and treats as null when it reads it again:
// it takes it out of a field that may not be null, or puts the default there. A patch that says null would be
// refused before that. s is nil where nothing is known of the schema.
func settleEmpty(object map[string]any, s *structuralschema.Structural) {
	for name, value := range object {
		field, known := fieldOf(s, name)
		if list, ok := value.([]any); !ok || list != nil {
			settleWithin(value, field)
			continue
		}
		switch {
		case known && field.Nullable:
			object[name] = nil
		case known && field.Default.Object != nil:
			object[name] = runtime.DeepCopyJSONValue(field.Default.Object)
		case known || s == nil:
			delete(object, name)
		default: // of a field without a schema nothing is taken out
			object[name] = nil
		}
	}
}

func settleWithin(value any, s *structuralschema.Structural) {
	switch v := value.(type) {
	case map[string]any:
		settleEmpty(v, s)
	case []any:
		var items *structuralschema.Structural
		if s != nil {
			items = cmp.Or(s.Items, &structuralschema.Structural{})
		}
		for i, item := range v {
			if list, ok := item.([]any); ok && list == nil {
				v[i] = []any{}
				continue
			}
			settleWithin(item, items)
		}
	}
}

// fieldOf returns the schema of a member of the object that s describes; an empty one where s has none for it.
func fieldOf(s *structuralschema.Structural, name string) (field *structuralschema.Structural, known bool) {
	if s == nil {
		return nil, false
	}
	if property, ok := s.Properties[name]; ok {
		return &property, true
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		return s.AdditionalProperties.Structural, true
	}
	return &structuralschema.Structural{}, false
}
