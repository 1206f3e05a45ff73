package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// askSnapshots asks about snapshots once more, now that their definitions have rules in CEL, with the policies in
// the cluster. What kube-apiserver refuses by these rules no policy is asked about.
func (w *libraryWorld) askSnapshots(t *testing.T, sets []*librarySet) {
	t.Helper()
	refused, byRules, byPolicies := map[*libraryCase]bool{}, 0, 0
	differ := rulesDiffer()
	for _, s := range sets {
		for _, c := range s.cases {
			name := s.file + ": " + c.Name
			refused[c] = c.Expect.Allowed == differ[name]
			delete(differ, name)
		}
	}
	if len(differ) > 0 {
		t.Errorf("there are no such cases: %q", slices.Collect(maps.Keys(differ)))
	}
	for _, s := range sets {
		if !strings.HasPrefix(s.file, "snapshot-") {
			continue
		}
		t.Run("rules/"+s.file, func(t *testing.T) {
			remove := w.apply(t, s.policies)
			defer remove()
			for _, c := range s.cases {
				switch {
				case c.unfit != "":
					continue
				case refused[c]:
					byRules++
				case !c.Expect.Allowed:
					byPolicies++
				}
				t.Run(c.Name, func(t *testing.T) {
					eventually(t, func() error { return w.ask(t, c).byRules(c, refused[c]) })
				})
			}
		})
	}
	t.Logf("of snapshots, the definitions' own rules refuse %d requests, and the policies %d more", byRules, byPolicies)
}

// rulesDiffer are the cases of which the definitions' rules think otherwise than the webhook did, and the policies
// do. docs/how-to/replace-the-snapshot-webhook.md tells of them.
func rulesDiffer() map[string]bool {
	return map[string]bool{
		// They let these pass. That a name is there is enough, also if it is "".
		"snapshot-contents: no namespace":       true,
		"snapshot-group-contents: no namespace": true,
		// This rule is in v1 and v1beta2, not in v1beta1.
		"snapshot-group-contents: another namespace": true,
		// What does not change does not change from nothing to something.
		"snapshot-group-snapshots: a content comes": true,
		"snapshot-volume-mode: it comes":            true,
		// kube-apiserver takes what was stored when there were no such rules, as long as it stays.
		"snapshot-volumesnapshots: invalid before and after": true,

		// They refuse these. Of the first two, the one is what snapshot-volume-mode is for, the other was not the webhook's.
		"snapshot-contents: the mode is for the other policy":                       true,
		"snapshot-volumesnapshots: both are set, which is for the schema to refuse": true,
		// One of them fails where there is no name, also if there was none before.
		"snapshot-group-contents: no reference while it is deleted": true,
	}
}

// byRules says how the answer is not the one of definitions with rules, which refuse it, or leave it to the policies.
func (a libraryAnswer) byRules(c *libraryCase, refused bool) error {
	if refused && (a.By != "API" || a.Reason != metav1.StatusReasonInvalid) {
		return fmt.Errorf("the rules do not refuse it: %+v", a)
	}
	if text := a.misses(c); !refused && text != "" {
		return errors.New(text)
	}
	return nil
}
