package sdk

import (
	"bytes"
	"encoding/json"
	"slices"
)

// mergeKeys are the members by which the lists of the Kubernetes API tell their elements apart, as the
// patchMergeKey tags of k8s.io/api say, most particular first: a volume mount also has a name, but that
// is the volume's.
var mergeKeys = []string{"mountPath", "devicePath", "containerPort", "port", "uid", "ip", "topologyKey", "key", "type", "name"}

// maxCompared bounds the work of comparing every element with every other.
const maxCompared = 1 << 20

// match says which element of before each element of after was: its index, or -1 for a new one. No
// element of before is named twice.
func (d *differ) match(before, after []json.RawMessage) []int {
	from := make([]int, len(after))
	for j := range from {
		from[j] = -1
	}
	b, a, ok := d.keyed(before, after)
	if !ok {
		align(before, after, from)
		return from
	}
	for key, j := range a {
		if i, ok := b[key]; ok {
			from[j] = i
			delete(b, key)
		}
	}
	if len(before) != len(after) {
		return from
	}
	for _, i := range b { // whose key is gone, while a new key stands in its place: renamed
		if from[i] < 0 {
			from[i] = i
		}
	}
	return from
}

// keyed returns the index of each element by the first merge key that tells them all apart.
func (d *differ) keyed(before, after []json.RawMessage) (b, a map[string]int, ok bool) {
	var elements []map[string]json.RawMessage
	for _, raw := range slices.Concat(before, after) {
		if !isObject(raw) {
			return nil, nil, false
		}
		elements = append(elements, d.members(raw))
	}
	for _, name := range mergeKeys {
		b, ok := index(elements[:len(before)], name)
		if !ok {
			continue
		}
		if a, ok := index(elements[len(before):], name); ok {
			return b, a, true
		}
	}
	return nil, nil, false
}

// index returns the place of each value of a member, unless one lacks it or two have the same.
func index(elements []map[string]json.RawMessage, name string) (map[string]int, bool) {
	at := make(map[string]int, len(elements))
	for i, element := range elements {
		value, ok := element[name]
		if !ok {
			return nil, false
		}
		at[string(value)] = i
	}
	return at, len(at) == len(elements)
}

// align fills from for elements that nothing tells apart but their content: equal ones keep their order,
// and what lies between two equal ones is taken to have been changed in place.
func align(before, after []json.RawMessage, from []int) {
	start := 0
	for start < min(len(before), len(after)) && bytes.Equal(before[start], after[start]) {
		from[start] = start
		start++
	}
	endB, endA := len(before), len(after)
	for endB > start && endA > start && bytes.Equal(before[endB-1], after[endA-1]) {
		endB, endA = endB-1, endA-1
		from[endA] = endB
	}
	i, j := start, start
	for _, pair := range append(common(before[start:endB], after[start:endA]), [2]int{endB - start, endA - start}) {
		nextI, nextJ := start+pair[0], start+pair[1]
		for ; i < nextI && j < nextJ; i, j = i+1, j+1 {
			from[j] = i
		}
		if nextJ < endA {
			from[nextJ] = nextI
		}
		i, j = nextI+1, nextJ+1
	}
}

// common returns the index pairs of a longest common subsequence.
func common(b, a []json.RawMessage) [][2]int {
	if len(b)*len(a) > maxCompared {
		return nil
	}
	// length[i][j] is that of b[i:] and a[j:].
	length := make([][]int, len(b)+1)
	for i := range length {
		length[i] = make([]int, len(a)+1)
	}
	for i := range slices.Backward(b) {
		for j := range slices.Backward(a) {
			if bytes.Equal(b[i], a[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(b) && j < len(a); {
		switch {
		case bytes.Equal(b[i], a[j]):
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}
