// Package tree holds JSON values that remember the order of their members and the text of their
// numbers, so that an object read from a manifest can be shown again as its author wrote it.
package tree

import "slices"

// Kind tells what a Node is.
type Kind int

// The kinds of JSON values. Literal is a number, true, false or null.
const (
	Literal Kind = iota
	String
	Object
	Array
)

// Node is one JSON value. It is not safe for use by several goroutines while one of them changes it.
type Node struct {
	Kind Kind
	// Text is the value of a String, or the JSON text of a Literal, as it was written.
	Text string
	// Members are an Object's members in order; names are unique.
	Members []Member
	// Items are an Array's items.
	Items []*Node
	// Line is where the value stands in the YAML that it was read from, counted from 1; an alias has the line of
	// what it stands for. 0 means that it is not known.
	Line int
}

// Member is one member of an object.
type Member struct {
	Name  string
	Value *Node
	// Line is that of the name; see Node.
	Line int
}

// NewString returns a string value.
func NewString(text string) *Node { return &Node{Kind: String, Text: text} }

// Get follows member names from n; nil when one is missing or its parent is not an object. It may be
// called on nil.
func (n *Node) Get(path ...string) *Node {
	for _, name := range path {
		i := n.index(name)
		if i < 0 {
			return nil
		}
		n = n.Members[i].Value
	}
	return n
}

// GetString returns the string at path, or "" when there is none.
func (n *Node) GetString(path ...string) string {
	if v := n.Get(path...); v != nil && v.Kind == String {
		return v.Text
	}
	return ""
}

// Set sets a member of an object; a new one goes right behind the member called after, or to the end
// when there is no such member.
func (n *Node) Set(name string, value *Node, after string) {
	if i := n.index(name); i >= 0 {
		n.Members[i].Value = value
		return
	}
	at := len(n.Members)
	if i := n.index(after); i >= 0 {
		at = i + 1
	}
	n.Members = slices.Insert(n.Members, at, Member{Name: name, Value: value})
}

// Delete removes a member of an object, if it is there.
func (n *Node) Delete(name string) {
	if i := n.index(name); i >= 0 {
		n.Members = slices.Delete(n.Members, i, i+1)
	}
}

// Clone returns a copy that shares nothing with n.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	out := &Node{Kind: n.Kind, Text: n.Text, Line: n.Line}
	for _, m := range n.Members {
		out.Members = append(out.Members, Member{Name: m.Name, Value: m.Value.Clone(), Line: m.Line})
	}
	for _, item := range n.Items {
		out.Items = append(out.Items, item.Clone())
	}
	return out
}

// Arrange puts the members of n, all the way down, into the order that they have in like. Members
// that like does not have keep their order, behind the others. It is for the output of libraries that
// sort the members of what they touch.
func (n *Node) Arrange(like *Node) {
	if n == nil || like == nil || n.Kind != like.Kind {
		return
	}
	rank := make(map[string]int, len(like.Members))
	for i, m := range like.Members {
		rank[m.Name] = i
	}
	slices.SortStableFunc(n.Members, func(a, b Member) int {
		return rankOf(rank, a.Name) - rankOf(rank, b.Name)
	})
	for _, m := range n.Members {
		m.Value.Arrange(like.Get(m.Name))
	}
	for i, item := range n.Items {
		item.Arrange(counterpart(like, item, i))
	}
}

// rankOf returns the place of a name; unknown names come after all known ones.
func rankOf(rank map[string]int, name string) int {
	if r, known := rank[name]; known {
		return r
	}
	return len(rank)
}

// counterpart finds the item of like that item most likely was: the one of the same name, as
// Kubernetes lists are mostly keyed by name; otherwise the one at the same index.
func counterpart(like, item *Node, i int) *Node {
	if name := item.GetString("name"); name != "" {
		for _, other := range like.Items {
			if other.GetString("name") == name {
				return other
			}
		}
	}
	if i < len(like.Items) {
		return like.Items[i]
	}
	return nil
}

func (n *Node) index(name string) int {
	if n == nil || n.Kind != Object {
		return -1
	}
	return slices.IndexFunc(n.Members, func(m Member) bool { return m.Name == name })
}
