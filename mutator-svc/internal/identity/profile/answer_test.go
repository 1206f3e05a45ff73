package profile_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gatefold/gatefold/mutator-svc/internal/identity/profile"
)

// Whatever the value of an annotation is, it is shown: by its beginning and its end, in whole characters.
func TestInvalidValuesAreShown(t *testing.T) {
	for name, tc := range map[string]struct{ value, want string }{
		"short":              {"1h", `x/life "1h" of the pod is not a number; ignored`},
		"long":               {"0123456789-in-between-0123456789", `x/life "0123456789…0123456789" of the pod is not a number; ignored`},
		"wide characters":    {strings.Repeat("𝄞", 20), `x/life "𝄞𝄞…𝄞𝄞" of the pod is not a number; ignored`},
		"no characters":      {strings.Repeat("\x80", 100), `x/life "�" of the pod is not a number; ignored`},
		"cut at a character": {"é" + strings.Repeat("a", 40) + "\xc3", `x/life "éaaaaaaaa…aaaaaaa�" of the pod is not a number; ignored`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, policy := range []profile.Policy{profile.Warn, profile.Deny} {
				var answer profile.Answer
				answer.Invalid(policy, profile.Invalid{Annotation: "x/life", Value: tc.value, Owner: "pod", Want: "a number", Instead: "ignored"})
				mutation := answer.Mutation()
				if policy == profile.Deny {
					if message := mutation.Denial.GetMessage(); !utf8.ValidString(message) {
						t.Errorf("denial %q", message)
					}
					continue
				}
				if diff := cmp.Diff([]string{tc.want}, mutation.Warnings); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
			}
		})
	}
}
