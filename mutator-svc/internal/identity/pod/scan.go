package pod

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner walks over a JSON text. It knows just enough JSON to find the parts that matter and to pass over the
// rest, which is nearly all of a pod: with a decoder that also checks what it passes over it takes 1.6 times as long.
// Whoever asks has decoded the object, and a patch for what is no JSON does not apply. Of such a text the
// scanner may make an error or anything else, but it ends.
//
// What it returns are parts of the text where that is possible, so that nothing is copied. It reads as
// kube-apiserver does: names are case-sensitive, of two members of one name the last counts, and invalid UTF-8,
// which reaches webhooks unchanged, is let pass.
type scanner struct {
	source []byte
	at     int // where to read on
}

var errEnd = errors.New("the JSON ends too early")

// end fails unless nothing comes any more.
func (s *scanner) end() error {
	if c := s.peek(); c != 0 || s.at < len(s.source) {
		return s.unexpected("nothing more")
	}
	return nil
}

// peek returns the first byte of what comes next; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.source); s.at++ {
		switch c := s.source[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// members calls visit for each member of the object that comes next, to read its value. A null has no
// members, and is not present.
func (s *scanner) members(visit func(name []byte) error) (present bool, err error) {
	return s.each('{', '}', "an object", func() error {
		name, err := s.text()
		if err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.unexpected("a colon")
		}
		s.at++
		return visit(name)
	})
}

// elements calls visit for each element of the list that comes next, to read it. A null has none, and is not
// present.
func (s *scanner) elements(visit func() error) (present bool, err error) {
	return s.each('[', ']', "a list", visit)
}

func (s *scanner) each(open, closing byte, what string, visit func() error) (present bool, err error) {
	switch s.peek() {
	case open:
		s.at++
	case 'n':
		return false, s.skip()
	default:
		return false, s.unexpected(what)
	}
	for first := true; s.peek() != closing; first = false {
		if !first {
			if s.peek() != ',' {
				return true, s.unexpected("a comma or the end of " + what)
			}
			s.at++
		}
		if err := visit(); err != nil {
			return true, err
		}
	}
	s.at++
	return true, nil
}

// unexpected is an error about what comes next.
func (s *scanner) unexpected(want string) error {
	if s.peek() == 0 {
		return errEnd
	}
	const some = 40
	return fmt.Errorf("want %s, not %q", want, s.source[s.at:min(s.at+some, len(s.source))])
}

// value returns the value that comes next as it stands.
func (s *scanner) value() (jsontext.Value, error) {
	s.peek()
	start := s.at
	err := s.skip()
	return s.source[start:s.at], err
}

// text returns the text that comes next; nil for a null.
func (s *scanner) text() ([]byte, error) {
	switch s.peek() {
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

// skip passes over the value that comes next.
func (s *scanner) skip() error {
	switch s.peek() {
	case 0:
		return errEnd
	case '"':
		return s.skipText()
	case '{', '[':
		return s.skipNested()
	}
	start := s.at
	for ; s.at < len(s.source); s.at++ {
		switch s.source[s.at] {
		case ',', ']', '}', ':', '"', ' ', '\t', '\r', '\n':
			if s.at == start {
				return s.unexpected("a value")
			}
			return nil
		}
	}
	return nil
}

func (s *scanner) skipNested() error {
	for depth := 0; s.at < len(s.source); {
		switch s.source[s.at] {
		case '"':
			if err := s.skipText(); err != nil {
				return err
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				s.at++
				return nil
			}
		}
		s.at++
	}
	return errEnd
}

// skipText passes over a text: to the next quote that no backslash escapes.
func (s *scanner) skipText() error {
	for begin := s.at + 1; ; begin = s.at {
		quote := bytes.IndexByte(s.source[begin:], '"')
		if quote < 0 {
			return errEnd
		}
		s.at = begin + quote + 1
		backslashes := 0
		for i := s.at - 2; i >= begin && s.source[i] == '\\'; i-- {
			backslashes++
		}
		if backslashes%2 == 0 {
			return nil
		}
	}
}
