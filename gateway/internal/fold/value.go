package fold

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// value is one JSON value as it came with the object or with a patch: its text, and its parts once somebody
// has looked inside. It never changes; what patches do to its parts is kept by each Document. So a value is
// the same one in every Document that holds it, wherever it has moved to.
type value struct {
	raw   string
	by    int // the turn of the mutator that put it there; 0 for what came with the object
	parts content
}

// content is what an object or array holds. Its slices are shared and never written to.
type content struct {
	form     form
	members  []member
	elements []*value
}

type form int

const (
	scalar form = iota // or not looked into yet
	object
	array
)

type member struct {
	name  string
	key   string // the name as it stands in the text, quotes and escapes included
	value *value
}

var (
	errNoContainer = errors.New("there is no object or array that could hold it")
	errAbsent      = errors.New("it does not exist")
)

// open returns what the text holds, one level deep. The text is known to be valid JSON.
func (v *value) open() (content, error) {
	if v.parts.form != scalar {
		return v.parts, nil
	}
	text := gjson.Parse(v.raw)
	switch {
	case text.IsObject():
		v.parts.form = object
		text.ForEach(func(key, m gjson.Result) bool {
			v.parts.members = append(v.parts.members, member{name: key.String(), key: key.Raw, value: &value{raw: m.Raw, by: v.by}})
			return true
		})
	case text.IsArray():
		v.parts.form = array
		text.ForEach(func(_, e gjson.Result) bool {
			v.parts.elements = append(v.parts.elements, &value{raw: e.Raw, by: v.by})
			return true
		})
	default:
		return content{}, errNoContainer
	}
	return v.parts, nil
}

// is tells whether both are the same scalar, so that putting one in the place of the other changes nothing.
// An array or object that looks the same may have been changed since.
func (v *value) is(other *value) bool {
	return v.raw == other.raw && !gjson.Parse(v.raw).IsObject() && !gjson.Parse(v.raw).IsArray()
}

func (v *value) null() bool { return strings.TrimSpace(v.raw) == "null" }

// find returns the position of the member with that name, -1 for none.
func (c content) find(name string) (int, error) {
	found := -1
	for i := range c.members {
		if c.members[i].name != name {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("member %q stands there twice", name)
		}
		found = i
	}
	return found, nil
}

// child returns the member or element that token names.
func (c content) child(token string) (*value, error) {
	if c.form == array {
		i, err := index(token, len(c.elements)-1)
		if err != nil {
			return nil, err
		}
		return c.elements[i], nil
	}
	i, err := c.find(token)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return nil, errAbsent
	}
	return c.members[i].value, nil
}

// at is child where a missing one is no error but nil.
func (c content) at(token string) *value {
	v, err := c.child(token)
	if err != nil {
		return nil
	}
	return v
}

// place returns the token under which v stands here, escaped for a JSON pointer; false when it does not.
func (c content) place(v *value) (string, bool) {
	if c.form == array {
		i := slices.Index(c.elements, v)
		return strconv.Itoa(i), i >= 0
	}
	i := slices.IndexFunc(c.members, func(m member) bool { return m.value == v })
	if i < 0 {
		return "", false
	}
	return escape(c.members[i].name), true
}

// with returns c with a member set: in the place of the one of that name, or at the end.
func (c content) with(name string, v *value) (content, error) {
	i, err := c.find(name)
	if err != nil {
		return content{}, err
	}
	members := slices.Clone(c.members)
	if i >= 0 {
		members[i].value = v
	} else {
		members = append(members, member{name: name, key: quote(name), value: v})
	}
	return content{form: object, members: members}, nil
}

// inserted returns c with an element inserted before the one at i.
func (c content) inserted(i int, v *value) content {
	elements := make([]*value, 0, len(c.elements)+1)
	elements = append(append(append(elements, c.elements[:i]...), v), c.elements[i:]...)
	return content{form: array, elements: elements}
}

// replaced returns c with another value in the place of old.
func (c content) replaced(old, v *value) content {
	out := content{form: c.form, members: slices.Clone(c.members), elements: slices.Clone(c.elements)}
	for i := range out.members {
		if out.members[i].value == old {
			out.members[i].value = v
		}
	}
	for i := range out.elements {
		if out.elements[i] == old {
			out.elements[i] = v
		}
	}
	return out
}

// without returns c without v.
func (c content) without(v *value) content {
	return content{
		form:     c.form,
		members:  slices.DeleteFunc(slices.Clone(c.members), func(m member) bool { return m.value == v }),
		elements: slices.DeleteFunc(slices.Clone(c.elements), func(e *value) bool { return e == v }),
	}
}

// sameNames tells whether two objects have members of the same names, in any order.
func (c content) sameNames(other content) bool {
	if len(c.members) != len(other.members) {
		return false
	}
	return !slices.ContainsFunc(c.members, func(m member) bool { return other.at(m.name) == nil })
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
