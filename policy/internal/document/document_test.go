package document

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/policy"
	"github.com/gatefold/gatefold/sdk/sdktest"
)

func TestRead(t *testing.T) {
	type read struct {
		Name string `json:"name"`
		Text string `json:"text"`
		Want string `json:"want"`
	}
	sdktest.Cases(t, "testdata/read/*.yaml", func(t *testing.T, tc read) {
		docs, problems := Read([]policy.File{{Name: "f.yaml", Data: []byte(tc.Text)}})
		var got strings.Builder
		for _, d := range docs {
			_, line := d.at("data.here")
			fmt.Fprintf(&got, "%s:%d: %s, data.here at %d\n", d.File, d.Line, d.Object.GetName(), line)
		}
		for _, p := range problems {
			fmt.Fprintln(&got, p.Error())
		}
		if diff := cmp.Diff(tc.Want, got.String()); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
	})
}
