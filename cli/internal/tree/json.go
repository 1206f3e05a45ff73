package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// ParseJSON reads one JSON value and nothing behind it. Repeated member names and invalid UTF-8 are
// errors.
func ParseJSON(data []byte) (*Node, error) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	n, err := ReadJSON(d)
	if err != nil {
		return nil, err
	}
	_, err = d.ReadToken()
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return n, nil
}

// ReadJSON reads the next JSON value of a stream; io.EOF when there is no more.
func ReadJSON(d *jsontext.Decoder) (*Node, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		return readObject(d)
	case '[':
		return readArray(d)
	case '"':
		return NewString(token.String()), nil
	default:
		return &Node{Kind: Literal, Text: token.String()}, nil
	}
}

func readObject(d *jsontext.Decoder) (*Node, error) {
	n := &Node{Kind: Object}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, unexpected(err)
		}
		text := name.String()
		value, err := ReadJSON(d)
		if err != nil {
			return nil, unexpected(err)
		}
		n.Members = append(n.Members, Member{Name: text, Value: value})
	}
	_, err := d.ReadToken()
	return n, unexpected(err)
}

func readArray(d *jsontext.Decoder) (*Node, error) {
	n := &Node{Kind: Array}
	for d.PeekKind() != ']' {
		item, err := ReadJSON(d)
		if err != nil {
			return nil, unexpected(err)
		}
		n.Items = append(n.Items, item)
	}
	_, err := d.ReadToken()
	return n, unexpected(err)
}

// unexpected keeps the end of input inside a value apart from the end between values.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// JSON returns the value as compact JSON, members in order.
func (n *Node) JSON() []byte { return n.appendJSON(nil) }

func (n *Node) appendJSON(b []byte) []byte {
	switch n.Kind {
	case Object:
		b = append(b, '{')
		for i, m := range n.Members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, m.Name), ':')
			b = m.Value.appendJSON(b)
		}
		return append(b, '}')
	case Array:
		b = append(b, '[')
		for i, item := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case String:
		return appendQuoted(b, n.Text)
	default:
		return append(b, n.Text...)
	}
}

// appendQuoted appends a JSON string. AppendQuote fails only on invalid UTF-8, for which it has
// appended the replacement character: no reader of this package lets any in.
func appendQuoted(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}
