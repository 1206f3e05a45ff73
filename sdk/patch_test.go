package sdk

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"pgregory.net/rapid"
)

func TestPointer(t *testing.T) {
	for _, c := range []struct {
		tokens []string
		want   string
	}{
		{nil, ""},
		{[]string{""}, "/"},
		{[]string{"metadata", "labels", "app.kubernetes.io/name"}, "/metadata/labels/app.kubernetes.io~1name"},
		{[]string{"~", "/", "~1", "~0", "~01", "//~~"}, "/~0/~1/~01/~00/~001/~1~1~0~0"},
		{[]string{"spec", "containers", "0", "é \"\x00"}, "/spec/containers/0/é \"\x00"},
	} {
		if got := Pointer(c.tokens...); got != c.want {
			t.Errorf("Pointer(%q) = %q, want %q", c.tokens, got, c.want)
		}
	}
}

// TestPointerReads shows that the library of kube-apiserver finds what Pointer names.
func TestPointerReads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key := rapid.OneOf(rapid.StringOf(rapid.RuneFrom([]rune("~/01a."))), rapid.String()).Draw(rt, "key")
		if !strings.Contains(key, "\uFFFD") {
			var p Patch
			p.Test(Pointer("m", key), 1)
			p.Replace(Pointer("m", key), 2)
			ops, err := p.Operations()
			if err != nil {
				rt.Fatal(err)
			}
			got := apply(t, []byte(encode(t, map[string]any{"m": map[string]int{key: 1, key + "/": 7, key + "~1": 8}})), ops)
			want := encode(t, map[string]any{"m": map[string]int{key: 2, key + "/": 7, key + "~1": 8}})
			if !jsonpatch.Equal(got, []byte(want)) {
				rt.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestPatch(t *testing.T) {
	var p Patch
	if !p.Empty() {
		t.Error("the zero Patch is not empty")
	}
	p.Test("/a", nil)
	p.Add("/b", map[string]int{"x": 1})
	p.Replace("/c", int64(math.MaxInt64))
	p.Remove("/d")
	p.move("/e/1", "/e/0")
	ops, err := p.Operations()
	if err != nil {
		t.Fatal(err)
	}
	want := "test /a null\nadd /b {\"x\":1}\nreplace /c 9223372036854775807\nremove /d\nmove /e/1 /e/0\n"
	if d := cmp.Diff(want, describe(ops)); d != "" {
		t.Errorf("operations (-want +got):\n%s", d)
	}
	if p.Empty() {
		t.Error("five operations, yet empty")
	}
	got := apply(t, []byte(`{"a":null,"c":1,"d":2,"e":["x","y"]}`), ops)
	if want := `{"a":null,"b":{"x":1},"c":9223372036854775807,"e":["y","x"]}`; !jsonpatch.Equal(got, []byte(want)) {
		t.Errorf("applied: %s, want %s", got, want)
	}
}

func TestPatchKeepsTheFirstError(t *testing.T) {
	var p Patch
	p.Add("/first", math.Inf(1))
	p.Add("/second", make(chan int))
	p.Add("/fine", 1)
	if _, err := p.Operations(); err == nil || !strings.Contains(err.Error(), "/first") {
		t.Errorf("error: %v, want that of /first", err)
	}
	if p.Empty() {
		t.Error("a failed patch counts as empty")
	}
}
