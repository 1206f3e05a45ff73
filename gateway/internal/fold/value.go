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
// has looked inside, which is why Documents that share values belong to one goroutine. What patches do to its
// parts is kept by each Document. So a value is the same one in every Document that holds it, wherever it has
// moved to.
type value struct {
	raw   string
	by    int  // the turn of the mutator that put it there; 0 for what came with the object
	set   bool // whether an operation put it there by itself, not within a larger value
	parts content
}

// content is what an object or array holds. Its slices may be shared, so who changes one makes it its own first.
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
	return v.raw == other.raw && v.parts.form == scalar && !v.closed()
}

// closed tells whether v is an object or array that nobody has looked into.
func (v *value) closed() bool {
	if v.parts.form != scalar {
		return false
	}
	text := gjson.Parse(v.raw)
	return text.IsObject() || text.IsArray()
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

// own returns c with slices of its own, with room for one more.
func (c content) own() content {
	return content{
		form:     c.form,
		members:  append(make([]member, 0, len(c.members)+1), c.members...),
		elements: append(make([]*value, 0, len(c.elements)+1), c.elements...),
	}
}

// set sets a member: in the place of the one of that name, or at the end. No name stands twice.
func (c *content) set(name string, v *value) {
	if i, _ := c.find(name); i >= 0 {
		c.members[i].value = v
		return
	}
	c.members = append(c.members, member{name: name, key: quote(name), value: v})
}

// insert puts an element before the one at i.
func (c *content) insert(i int, v *value) { c.elements = slices.Insert(c.elements, i, v) }

// replace puts v in the place of old.
func (c *content) replace(old, v *value) {
	if i := slices.Index(c.elements, old); i >= 0 {
		c.elements[i] = v
	}
	for i := range c.members {
		if c.members[i].value == old {
			c.members[i].value = v
		}
	}
}

// remove takes v out.
func (c *content) remove(v *value) {
	c.members = slices.DeleteFunc(c.members, func(m member) bool { return m.value == v })
	if i := slices.Index(c.elements, v); i >= 0 {
		c.elements = slices.Delete(c.elements, i, i+1)
	}
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
