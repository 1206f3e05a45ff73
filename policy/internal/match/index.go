package match

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const anyResource = "*"

// Index finds the policies that may be about a request without looking at the others. It is immutable.
type Index struct {
	hooks []*Hook
	// byResource has the hooks by the groups and resources in their rules, as these are written there: either
	// may be a wildcard. Subresources do not count.
	byResource map[schema.GroupResource][]int
}

// NewIndex returns the index of hooks.
func NewIndex(hooks []*Hook) *Index {
	x := &Index{hooks: hooks, byResource: map[schema.GroupResource][]int{}}
	for i, h := range hooks {
		for _, rule := range h.Policy.GetMatchConstraints().ResourceRules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					name, _, _ := strings.Cut(resource, "/")
					key := schema.GroupResource{Group: group, Resource: name}
					if listed := x.byResource[key]; len(listed) == 0 || listed[len(listed)-1] != i {
						x.byResource[key] = append(listed, i)
					}
				}
			}
		}
	}
	return x
}

// Candidates returns the hooks for which MayMatch says yes, as indices in ascending order.
func (x *Index) Candidates(m *Matcher) []int {
	requested, arrived := m.request.GetResource().GroupResource(), m.request.Resource.GroupResource()
	found := x.about(requested)
	if arrived != requested {
		found = append(found, x.about(arrived)...)
	}
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(i int) bool { return !m.MayMatch(x.hooks[i]) })
}

func (x *Index) about(r schema.GroupResource) []int {
	return slices.Concat(x.byResource[r],
		x.byResource[schema.GroupResource{Group: r.Group, Resource: anyResource}],
		x.byResource[schema.GroupResource{Group: anyGroup, Resource: r.Resource}],
		x.byResource[schema.GroupResource{Group: anyGroup, Resource: anyResource}])
}
