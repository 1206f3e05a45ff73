package fold

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// node is one JSON value: its raw text until somebody looks inside, and its parts from then on.
type node struct {
	raw      string
	members  []member // of an object that was opened
	elements []*node  // of an array that was opened
	form     form
}

type form int

const (
	closed form = iota // raw holds the text
	object             // members hold it
	array              // elements hold it
)

type member struct {
	name  string
	key   string // the name as it stands in the text, quotes and escapes included
	value *node
}

var errNoContainer = errors.New("there is no object or array that could hold it")

// open parses one level. The text is known to be valid JSON.
func (n *node) open() error {
	if n.form != closed {
		return nil
	}
	value := gjson.Parse(n.raw)
	switch {
	case value.IsObject():
		n.form = object
		value.ForEach(func(key, v gjson.Result) bool {
			n.members = append(n.members, member{name: key.String(), key: key.Raw, value: &node{raw: v.Raw}})
			return true
		})
	case value.IsArray():
		n.form = array
		value.ForEach(func(_, v gjson.Result) bool {
			n.elements = append(n.elements, &node{raw: v.Raw})
			return true
		})
	default:
		return errNoContainer
	}
	n.raw = ""
	return nil
}

// child returns the member or element that token names.
func (n *node) child(token string) (*node, error) {
	if err := n.open(); err != nil {
		return nil, err
	}
	if n.form == array {
		i, err := index(token, len(n.elements)-1)
		if err != nil {
			return nil, err
		}
		return n.elements[i], nil
	}
	i, err := n.member(token)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return nil, errors.New("it does not exist")
	}
	return n.members[i].value, nil
}

// member returns the position of the member with that name, -1 for none.
func (n *node) member(name string) (int, error) {
	found := -1
	for i := range n.members {
		if n.members[i].name != name {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("member %q stands there twice", name)
		}
		found = i
	}
	return found, nil
}

// insert does what "add" does: sets a member, or inserts an element before the one at an index.
func (n *node) insert(token string, value *node) error {
	if err := n.open(); err != nil {
		return err
	}
	if n.form == object {
		i, err := n.member(token)
		if err != nil {
			return err
		}
		if i >= 0 {
			n.members[i].value = value
			return nil
		}
		key, err := json.Marshal(token)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{name: token, key: string(key), value: value})
		return nil
	}
	if token == "-" {
		n.elements = append(n.elements, value)
		return nil
	}
	i, err := index(token, len(n.elements))
	if err != nil {
		return err
	}
	n.elements = slices.Insert(n.elements, i, value)
	return nil
}

// remove takes out the member or element that token names.
func (n *node) remove(token string) (*node, error) {
	value, err := n.child(token)
	if err != nil {
		return nil, err
	}
	if n.form == object {
		n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.value == value })
	} else {
		n.elements = slices.DeleteFunc(n.elements, func(e *node) bool { return e == value })
	}
	return value, nil
}

// index reads an array index from 0 to last as RFC 6901 writes it: no sign, no leading zero.
func index(token string, last int) (int, error) {
	i, err := strconv.Atoi(token)
	if err != nil || strconv.Itoa(i) != token || i < 0 {
		return 0, fmt.Errorf("%q is no array index", token)
	}
	if i > last {
		return 0, fmt.Errorf("index %d is beyond the end of the array", i)
	}
	return i, nil
}

// append writes the value as JSON.
func (n *node) append(to []byte) []byte {
	switch n.form {
	case object:
		to = append(to, '{')
		for i, m := range n.members {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(append(to, m.key...), ':')
			to = m.value.append(to)
		}
		return append(to, '}')
	case array:
		to = append(to, '[')
		for i, e := range n.elements {
			if i > 0 {
				to = append(to, ',')
			}
			to = e.append(to)
		}
		return append(to, ']')
	default:
		return append(to, n.raw...)
	}
}

// errNullElement: kube-apiserver's library dereferences nil when a test compares a null inside an array
// (gopkg.in/evanphx/json-patch.v4 v4.13.0, lazyNode.equal).
var errNullElement = errors.New("the test compares a null inside an array, at which kube-apiserver crashes")

// equal compares as kube-apiserver's library does: containers part by part, anything else by its text,
// so that 1 and 1.0 differ.
func (n *node) equal(other *node) (bool, error) {
	if n.open() != nil || other.open() != nil {
		return n.form == other.form && strings.TrimSpace(n.raw) == strings.TrimSpace(other.raw), nil
	}
	if n.form != other.form || len(n.members) != len(other.members) || len(n.elements) != len(other.elements) {
		return false, nil
	}
	for _, m := range n.members {
		i, err := other.member(m.name)
		if err != nil || i < 0 {
			return false, err
		}
		if same, err := m.value.equal(other.members[i].value); err != nil || !same {
			return false, err
		}
	}
	for i, e := range n.elements {
		if e.null() || other.elements[i].null() {
			return false, errNullElement
		}
		if same, err := e.equal(other.elements[i]); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (n *node) null() bool { return n.form == closed && strings.TrimSpace(n.raw) == "null" }
