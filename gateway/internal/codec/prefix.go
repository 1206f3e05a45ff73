package codec

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Prefix reads apiVersion and uid from the beginning of a review that is too large to read whole, so
// that it can be refused by name: kube-apiserver takes an answer without the right uid for a failed
// call, which under failurePolicy Ignore lets the object in. It writes kind and apiVersion before
// request, and uid first in it (the field order of k8s.io/api/admission/v1). ok is false when the
// beginning does not hold both.
func Prefix(beginning []byte) (apiVersion, uid string, ok bool) {
	dec := jsontext.NewDecoder(bytes.NewReader(beginning), decodeOptions)
	if !enter(dec) {
		return "", "", false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return "", "", false
		}
		switch name.String() {
		case "apiVersion":
			value, err := dec.ReadToken()
			if err != nil {
				return "", "", false
			}
			apiVersion = value.String()
		case "request":
			if !enter(dec) {
				return "", "", false
			}
			name, err := dec.ReadToken()
			if err != nil || name.String() != "uid" {
				return "", "", false
			}
			value, err := dec.ReadToken()
			if err != nil {
				return "", "", false
			}
			uid = value.String()
			return apiVersion, uid, uid != "" && (apiVersion == V1 || apiVersion == V1beta1)
		default:
			if err := dec.SkipValue(); err != nil {
				return "", "", false
			}
		}
	}
	return "", "", false
}

func enter(dec *jsontext.Decoder) bool {
	token, err := dec.ReadToken()
	return err == nil && token.Kind() == '{'
}
