package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// explain says what is wrong with a JSON text, by the error of decoding it, to people who know nothing of the
// types that it is decoded into. It tells the line unless text is nil.
func explain(err error, text []byte) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return line(text, syntax.Offset) + syntax.Error()
	}
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err.Error()
	}
	what := mismatch.Field
	if what == "" {
		what = "it"
	}
	return fmt.Sprintf("%s%s is %s, want %s", line(text, mismatch.Offset), what, article(mismatch.Value), wanted(mismatch.Type))
}

func line(text []byte, offset int64) string {
	if text == nil {
		return ""
	}
	// The byte before the offset is the one that is wrong, or the last there is.
	before := text[:max(0, min(int(offset)-1, len(text)))]
	return fmt.Sprintf("line %d: ", 1+bytes.Count(before, []byte("\n")))
}

// article puts a or an before a JSON value's kind.
func article(kind string) string {
	switch kind {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	}
	return "a " + kind // "string", "number", "number 1.5"
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number"
}
