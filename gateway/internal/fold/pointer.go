package fold

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// parse splits a JSON pointer (RFC 6901) that names something below the root.
func parse(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, errors.New("would replace the whole object")
	}
	if pointer[0] != '/' {
		return nil, errors.New("is no JSON pointer: it must begin with /")
	}
	for i := range len(pointer) {
		if pointer[i] == '~' && (i+1 == len(pointer) || (pointer[i+1] != '0' && pointer[i+1] != '1')) {
			return nil, errors.New("is no JSON pointer: ~ must be written ~0 (RFC 6901)")
		}
	}
	return tokens(pointer), nil
}

func tokens(pointer string) []string {
	parts := strings.Split(pointer[1:], "/")
	for i, part := range parts {
		if strings.Contains(part, "~") {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		}
	}
	return parts
}

func escape(token string) string {
	if !strings.ContainsAny(token, "~/") {
		return token
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

// patterns are the tokens of JSON pointers in which "*" stands for any one token.
type patterns [][]string

func newPatterns(pointers []string) patterns {
	var out patterns
	for _, pointer := range pointers {
		out = append(out, tokens(pointer))
	}
	return out
}

const wildcard = "*"

// within tells whether target is place or lies below it; "*" in place stands for any one token.
func within(target, place []string) bool {
	if len(target) < len(place) {
		return false
	}
	for i, token := range place {
		if token != wildcard && token != target[i] {
			return false
		}
	}
	return true
}

// quote returns s as a JSON string.
func quote(s string) string {
	// AppendQuote fails on invalid UTF-8 alone, which it has replaced by then.
	quoted, _ := jsontext.AppendQuote(nil, s)
	return string(quoted)
}
