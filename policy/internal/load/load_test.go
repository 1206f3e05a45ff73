package load

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

// TestRead: what nobody would ever evaluate is told, and so is that there is nothing.
func TestRead(t *testing.T) {
	type files struct {
		Name     string   `json:"name"`
		Texts    []string `json:"texts"`
		Problems string   `json:"problems"`
		Notes    []string `json:"notes"`
	}
	sdktest.Cases(t, "testdata/read/*.yaml", func(t *testing.T, tc files) {
		var given []policy.File
		for _, text := range tc.Texts {
			given = append(given, policy.File{Name: "f.yaml", Data: []byte(text)})
		}
		set := read(given, policy.Cluster{}, validatingPolicy, validatingPolicy+"Binding")
		var problems string
		if len(set.Problems) > 0 {
			problems = set.Problems.Error()
		}
		if diff := cmp.Diff(tc.Problems, problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(tc.Notes, set.Notes); diff != "" {
			t.Errorf("notes (-want +got):\n%s", diff)
		}
	})
}
