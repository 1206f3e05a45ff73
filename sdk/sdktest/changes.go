package sdktest

import (
	"cmp"
	"slices"
	"testing"

	"gomodules.xyz/jsonpatch/v2"
)

// Changes returns what has become of an object, whichever operations made it so: the patch from before to
// after, ordered by path, each operation as JSON. It is for tests that care
// for the effect of a mutation and not for its form.
func Changes(tb testing.TB, before, after []byte) []string {
	tb.Helper()
	ops, err := jsonpatch.CreatePatch(before, after)
	if err != nil {
		tb.Fatalf("comparing two objects: %v", err)
	}
	// The library walks Go maps, so its own order differs from one run to the next.
	slices.SortFunc(ops, func(a, b jsonpatch.Operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Json(), b.Json()))
	})
	lines := make([]string, len(ops))
	for i, op := range ops {
		lines[i] = op.Json()
	}
	return lines
}
