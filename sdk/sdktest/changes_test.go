package sdktest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/sdk/sdktest"
)

func TestChanges(t *testing.T) {
	got := sdktest.Changes(t,
		[]byte(`{"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"n":9007199254740993}}`),
		[]byte(`{"metadata":{"labels":{"a":"1","c":"3"}},"spec":{"n":9007199254740992}}`))
	want := []string{
		`{"op":"remove","path":"/metadata/labels/b"}`,
		`{"op":"add","path":"/metadata/labels/c","value":"3"}`,
		`{"op":"replace","path":"/spec/n","value":9007199254740992}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if same := sdktest.Changes(t, []byte(`{"a":1}`), []byte(` {"a": 1}`)); len(same) != 0 {
		t.Errorf("equal objects differ by %q", same)
	}
}
