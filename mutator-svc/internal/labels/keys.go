package labels

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// syntax says what is wrong with a key or value of labels or of annotations.
type syntax struct{ key, value func(string) []string }

func labelSyntax() syntax {
	return syntax{key: validation.IsQualifiedName, value: validation.IsValidLabelValue}
}

func annotationSyntax() syntax {
	return syntax{
		// kube-apiserver checks annotation keys in lower case (ValidateAnnotations).
		key:   func(key string) []string { return validation.IsQualifiedName(strings.ToLower(key)) },
		value: func(string) []string { return nil },
	}
}

func invalid(value string, problems []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range problems {
		errs = append(errs, field.Invalid(at, value, problem))
	}
	return errs
}

// keySet is keys, and every key with one of some prefixes. The zero value has none.
type keySet struct {
	exact    sets.Set[string]
	prefixes sets.Set[string] // what stands before the slash
}

func (k *keySet) add(key string) {
	if prefix, ok := strings.CutSuffix(key, "/*"); ok {
		k.prefixes = add(k.prefixes, prefix)
		return
	}
	k.exact = add(k.exact, key)
}

func add(to sets.Set[string], item string) sets.Set[string] {
	if to == nil {
		to = sets.New[string]()
	}
	return to.Insert(item)
}

func (k *keySet) empty() bool { return len(k.exact)+len(k.prefixes) == 0 }

func (k *keySet) has(key string) bool {
	if k.exact.Has(key) {
		return true
	}
	prefix, _, ok := strings.Cut(key, "/")
	return ok && k.prefixes.Has(prefix)
}

// compileRemove reads the keys to remove of a rule that sets the others.
func compileRemove(in []string, set map[string]string, allowed syntax, at *field.Path) (keySet, field.ErrorList) {
	var (
		out  keySet
		errs field.ErrorList
	)
	for i, key := range in {
		at := at.Index(i)
		prefix, prefixed := strings.CutSuffix(key, "/*")
		_, alsoSet := set[key]
		switch {
		case prefixed:
			errs = append(errs, invalid(key, allowed.key(prefix+"/any"), at)...)
		case strings.Contains(key, "*"):
			errs = append(errs, field.Invalid(at, key, "* stands only for everything behind a prefix, as in internal.example.com/*"))
		case alsoSet:
			errs = append(errs, field.Invalid(at, key, "the rule also sets it"))
		default:
			errs = append(errs, invalid(key, allowed.key(key), at)...)
		}
		out.add(key)
	}
	return out, errs
}
