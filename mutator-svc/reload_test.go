package mutatorsvc_test

import (
	"fmt"
	"testing"
)

// What is watched is decided when the program starts. A configuration that wants more goes on with what it has,
// and never with less than before.
func TestReloadOfIdentity(t *testing.T) {
	config := func(identity, label string) string {
		return fmt.Sprintf(`
apiVersion: gatefold.dev/v1alpha1
kind: MutatorConfig
listen: {clientAuth: {mode: None}}
mutators: [identity, labels]
identity: %s
labels: {rules: [{set: {labels: {mutate: %s}}}]}
`, identity, label)
	}
	s := start(t, config("{tokens: {}}", "one"), fromObjects)
	eventually(t, "the start", func() bool { return s.label(t) == "one" })
	const reader = "arn:aws:iam::111122223333:role/reader"
	for _, step := range []struct {
		what, identity, label string
		role                  string
		logs                  string
	}{
		{"a profile more", "{tokens: {}, aws: {}}", "two", reader, ""},
		{"its annotations under a prefix that is not watched", "{tokens: {}, aws: {annotationPrefix: other.example}}", "three", reader, "rest=identity.aws.annotationPrefix"},
		{"and another profile under the one that it keeps", "{tokens: {annotationPrefix: eks.amazonaws.com}, aws: {annotationPrefix: other.example}}", "", reader, "write another one; this is aws's"},
		{"no profile", "{}", "", reader, "name a profile"},
		{"only one that takes a start", "{google: {annotationPrefix: other.example}}", "", reader, "no profile is left without identity.google.annotationPrefix"},
		{"an empty line", "{aws: }", "", reader, "nothing where a mapping is wanted"},
		{"it is off", "{tokens: {}}", "four", "", ""},
	} {
		s.configure(t, config(step.identity, "x"+step.label))
		if step.label != "" {
			eventually(t, step.what, func() bool { return s.label(t) == "x"+step.label })
		}
		if step.logs != "" {
			eventually(t, step.what+": the log", func() bool { return s.logs.contain(step.logs) })
		}
		if role := s.role(t); role != step.role {
			t.Errorf("%s: role %q, want %q", step.what, role, step.role)
		}
	}
}
