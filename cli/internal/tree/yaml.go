package tree

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

// maxNodes bounds what aliases may expand to: an object that kube-apiserver would take has at most
// 3 MiB, far fewer values than this.
const maxNodes = 1 << 20

// Error is something wrong at one line of a YAML document.
type Error struct {
	// Line counts from 1.
	Line int
	// Message says what is wrong.
	Message string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// FromYAML converts a YAML value to the JSON value that kubectl would send for it: scalars are read
// by the rules of YAML 1.1 ("yes" is true), as sigs.k8s.io/yaml does, except that numbers which are
// JSON numbers already keep their text (1.0 stays 1.0). Errors are of type *Error.
func FromYAML(n *yaml.Node) (*Node, error) {
	c := converter{open: map[*yaml.Node]bool{}}
	return c.convert(n)
}

type converter struct {
	nodes int
	open  map[*yaml.Node]bool // what aliases that are being converted stand for
}

func (c *converter) convert(n *yaml.Node) (*Node, error) {
	if c.nodes++; c.nodes > maxNodes {
		return nil, &Error{n.Line, "the document is too large once its aliases are expanded"}
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return c.convert(n.Content[0])
	case yaml.AliasNode:
		if c.open[n.Alias] {
			return nil, &Error{n.Line, fmt.Sprintf("the alias *%s stands within what it stands for", n.Value)}
		}
		c.open[n.Alias] = true
		defer delete(c.open, n.Alias)
		return c.convert(n.Alias)
	case yaml.MappingNode:
		return at(n.Line)(c.mapping(n))
	case yaml.SequenceNode:
		return at(n.Line)(c.sequence(n))
	default:
		return at(n.Line)(scalar(n))
	}
}

// at notes the line of a value that was read.
func at(line int) func(*Node, error) (*Node, error) {
	return func(n *Node, err error) (*Node, error) {
		if n != nil {
			n.Line = line
		}
		return n, err
	}
}

func (c *converter) sequence(n *yaml.Node) (*Node, error) {
	out := &Node{Kind: Array}
	for _, item := range n.Content {
		v, err := c.convert(item)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
	}
	return out, nil
}

func (c *converter) mapping(n *yaml.Node) (*Node, error) {
	out := &Node{Kind: Object}
	var merges []*yaml.Node
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		name, err := memberName(key)
		if err != nil {
			return nil, err
		}
		if first, twice := seen[name]; twice {
			return nil, &Error{key.Line, fmt.Sprintf("key %q is already set on line %d", name, first)}
		}
		seen[name] = key.Line
		v, err := c.convert(value)
		if err != nil {
			return nil, err
		}
		out.Members = append(out.Members, Member{Name: name, Value: v, Line: key.Line})
	}
	for _, m := range merges {
		if err := c.merge(out, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// merge adds what a "<<" key brings: members that are there already win, and so does the earlier one
// of several mappings.
func (c *converter) merge(into *Node, n *yaml.Node) error {
	v, err := c.convert(n)
	if err != nil {
		return err
	}
	from := []*Node{v}
	if v.Kind == Array {
		from = v.Items
	}
	for _, f := range from {
		if f.Kind != Object {
			return &Error{n.Line, `"<<" takes a mapping or a list of mappings`}
		}
		for _, m := range f.Members {
			if into.index(m.Name) < 0 {
				into.Members = append(into.Members, m)
			}
		}
	}
	return nil
}

func memberName(key *yaml.Node) (string, error) {
	if key.Kind == yaml.AliasNode {
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		return "", &Error{key.Line, "a key must be a plain value"}
	}
	v, err := scalar(key)
	if err != nil {
		return "", err
	}
	if v.Text == "null" && v.Kind == Literal {
		return "", &Error{key.Line, "a key must not be null"}
	}
	return v.Text, nil
}

func scalar(n *yaml.Node) (*Node, error) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return tagged(n)
	case !utf8.ValidString(n.Value):
		return nil, &Error{n.Line, "the text is not valid UTF-8"}
	case quoted:
		return NewString(n.Value), nil
	}
	return resolve(n.Value), nil
}

// tagged reads a scalar with an explicit tag, such as "!!str 1".
func tagged(n *yaml.Node) (*Node, error) {
	switch n.ShortTag() {
	case "!!str", "!!binary":
		var s string
		if err := n.Decode(&s); err != nil || !utf8.ValidString(s) {
			return nil, &Error{n.Line, "the text is not valid UTF-8"}
		}
		return NewString(s), nil
	case "!!int", "!!float", "!!bool", "!!null":
		if v := resolve(n.Value); v.Kind == Literal {
			return v, nil
		}
	}
	return nil, &Error{n.Line, fmt.Sprintf("%s %q has no JSON counterpart", n.Tag, n.Value)}
}

// resolve says what a plain scalar is.
func resolve(text string) *Node {
	if v := jsontext.Value(text); strings.Trim(text, " ") == text && v.IsValid() && v.Kind() != '"' && v.Kind() != '{' && v.Kind() != '[' {
		return &Node{Kind: Literal, Text: text}
	}
	// No number, boolean or null is longer, or has a space in it, or says more than YAML than its text.
	if len(text) > 64 || strings.ContainsAny(text, " \t\n\r#:{}[],&*!|>'\"%@`") {
		return NewString(text)
	}
	data, err := kyaml.YAMLToJSON([]byte(text))
	if err != nil {
		return NewString(text)
	}
	switch v := jsontext.Value(strings.TrimSpace(string(data))); v.Kind() {
	case '0', 't', 'f', 'n':
		return &Node{Kind: Literal, Text: string(v)}
	default:
		return NewString(text)
	}
}
