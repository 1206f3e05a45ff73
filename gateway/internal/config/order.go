package config

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Order returns the indices of the backends of one type in the order in which they have their turn:
// topological by after, and by name where after leaves a choice. It reports names in after that are
// no backend of that type, and cycles.
func Order(backends []Backend, kind string) ([]int, field.ErrorList) {
	var errs field.ErrorList
	index := map[string]int{}
	var waiting []int
	for i := range backends {
		if backends[i].Type == kind {
			index[backends[i].Name] = i
			waiting = append(waiting, i)
		}
	}
	for _, i := range waiting {
		for j, name := range backends[i].After {
			if _, ok := index[name]; !ok {
				errs = append(errs, field.Invalid(field.NewPath("backends").Index(i).Child("after").Index(j), name,
					"must be the name of another backend of type "+kind))
			}
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	slices.SortFunc(waiting, func(a, b int) int { return strings.Compare(backends[a].Name, backends[b].Name) })

	done := map[string]bool{}
	ready := func(i int) bool {
		return !slices.ContainsFunc(backends[i].After, func(name string) bool { return !done[name] })
	}
	var order []int
	for len(waiting) > 0 {
		next := slices.IndexFunc(waiting, ready)
		if next < 0 {
			return nil, cycle(backends, waiting)
		}
		order = append(order, waiting[next])
		done[backends[waiting[next]].Name] = true
		waiting = slices.Delete(waiting, next, next+1)
	}
	return order, nil
}

// cycle names the backends that wait for each other.
func cycle(backends []Backend, waiting []int) field.ErrorList {
	names := make([]string, len(waiting))
	for i, w := range waiting {
		names[i] = backends[w].Name
	}
	return field.ErrorList{field.Invalid(field.NewPath("backends").Index(waiting[0]).Child("after"), backends[waiting[0]].After,
		"these backends wait for each other, so none can be first: "+strings.Join(names, ", ")+"; remove one of their after entries")}
}
