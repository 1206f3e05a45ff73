package tree

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// YAML returns the value as YAML text in the style of kubectl, members in order, ending in a newline.
// Read back by kubectl it is the same value.
func (n *Node) YAML() (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	e.CompactSeqIndent()
	if err := e.Encode(n.yamlNode()); err != nil {
		return "", fmt.Errorf("writing YAML: %w", err)
	}
	if err := e.Close(); err != nil {
		return "", fmt.Errorf("writing YAML: %w", err)
	}
	return b.String(), nil
}

func (n *Node) yamlNode() *yaml.Node {
	switch n.Kind {
	case Object:
		out := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range n.Members {
			out.Content = append(out.Content, stringNode(m.Name), m.Value.yamlNode())
		}
		return out
	case Array:
		out := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range n.Items {
			out.Content = append(out.Content, item.yamlNode())
		}
		return out
	case String:
		return stringNode(n.Text)
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: n.Text}
	}
}

// stringNode quotes what a YAML 1.1 reader would take for something else; the encoder knows only the
// rules of YAML 1.2.
func stringNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if resolve(s).Kind != String || s == "<<" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
