package pod

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// decoding reads as kube-apiserver does: case-sensitively, with the last of two members of one name, and
// with invalid UTF-8, which reaches webhooks unchanged. Refusing such an object is not this service's
// business.
var decoding = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// scan walks over a JSON value. It is walked by hand, and not by Go structs with tags, because most of a
// pod is passed over: a value read whole is passed over in half the time that the library takes to skip
// it token by token.
func scan(source []byte, walk func(scanner) error) error {
	return json.Unmarshal(source, &scanner{source: source, walk: walk}, decoding)
}

// scanner reads values in the order in which they come. What it returns are parts of the source where
// that is possible, so that nothing is copied.
type scanner struct {
	source []byte
	dec    *jsontext.Decoder
	walk   func(scanner) error
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *scanner) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return s.walk(scanner{source: s.source, dec: dec})
}

// members calls visit for each member of the object that comes next, to read its value. A null has no
// members, and is not present.
func (s scanner) members(visit func(name []byte) error) (present bool, err error) {
	if present, err := s.open('{', "an object"); !present {
		return false, err
	}
	for s.dec.PeekKind() != '}' {
		name, err := s.text()
		if err != nil {
			return false, err
		}
		if err := visit(name); err != nil {
			return false, err
		}
	}
	return true, s.close()
}

// elements calls visit for each element of the array that comes next, to read it. A null has none, and
// is not present.
func (s scanner) elements(visit func() error) (present bool, err error) {
	if present, err := s.open('[', "a list"); !present {
		return false, err
	}
	for s.dec.PeekKind() != ']' {
		if err := visit(); err != nil {
			return false, err
		}
	}
	return true, s.close()
}

func (s scanner) open(kind jsontext.Kind, want string) (present bool, err error) {
	switch s.dec.PeekKind() {
	case kind:
		_, err := s.dec.ReadToken()
		return err == nil, err
	case 'n':
		return false, s.skip()
	}
	return false, s.unexpected(want)
}

func (s scanner) close() error {
	_, err := s.dec.ReadToken()
	return err
}

// unexpected is an error about the value that comes next: that it is not JSON, or not what is wanted.
func (s scanner) unexpected(want string) error {
	value, err := s.value()
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: want %s, not %.40s", s.dec.StackPointer(), want, value)
}

// value returns the value that comes next as it stands.
func (s scanner) value() (jsontext.Value, error) {
	value, err := s.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := s.dec.InputOffset()
	return s.source[end-int64(len(value)) : end], nil
}

// text returns the text that comes next; nil for a null.
func (s scanner) text() ([]byte, error) {
	switch s.dec.PeekKind() {
	case '"':
	case 'n':
		return nil, s.skip()
	default:
		return nil, s.unexpected("a text")
	}
	value, err := s.value()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], nil
	}
	text, _ := jsontext.AppendUnquote(nil, value) // fails for invalid UTF-8, which it has then replaced
	return text, nil
}

func (s scanner) skip() error {
	_, err := s.dec.ReadValue()
	return err
}

// since returns the value that has been read, as it stands, from the offset of the input before it.
func (s scanner) since(start int64) jsontext.Value {
	// What separates a value from what comes before it belongs to it here.
	return bytes.TrimLeft(s.source[start:s.dec.InputOffset()], ",: \t\r\n")
}
