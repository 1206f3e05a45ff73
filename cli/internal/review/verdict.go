package review

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatefold/gatefold/cli/internal/render"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// Name names the object and its namespace for people: "pod/web (team-a)".
func (r *Result) Name() string {
	if r.Namespace == "" {
		return render.Clean(r.Object.Ref())
	}
	return render.Clean(fmt.Sprintf("%s (%s)", r.Object.Ref(), r.Namespace))
}

// PrintNotes writes what was assumed about the object, a line each.
func (r *Result) PrintNotes(w io.Writer) error {
	for _, note := range r.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", render.Clean(note)); err != nil {
			return err
		}
	}
	return nil
}

// PrintRounds writes which mutators were asked more than once, or after others; nothing where all were asked
// at once.
func (r *Result) PrintRounds(w io.Writer) error {
	var again []string
	for _, s := range r.Steps {
		if s.GetAsked() > 1 {
			again = append(again, fmt.Sprintf("%s %d times", s.GetBackend(), s.GetAsked()))
		}
	}
	text := fmt.Sprintf("%s: the mutators took %d rounds", r.Name(), r.Rounds)
	switch {
	case len(again) > 0:
		text += ": earlier ones changed what later ones observe or patch, so the gate asked " + strings.Join(again, ", ")
	case r.Rounds <= 1:
		return nil
	}
	_, err := fmt.Fprintf(w, "note: %s\n", render.Clean(text))
	return err
}

// PrintVerdict writes what became of the object, why, its warnings, what mutators disagree on, and what shadows
// would have done, a line each.
func (r *Result) PrintVerdict(w io.Writer, style render.Style) error {
	var b strings.Builder
	say := func(color, word, rest string) {
		// Further lines of a message are indented, so that each verdict is seen to begin at the left.
		rest = strings.ReplaceAll(render.Clean(rest), "\n", "\n    ")
		fmt.Fprintf(&b, "%s: %s%s\n", r.Name(), style.Paint(color, word), rest)
	}
	switch r.Verdict {
	case Allowed:
		say(render.Green, "allowed", r.changedBy())
	case Denied:
		for _, denial := range r.denials() {
			say(render.Red, "denied", denial)
		}
	case Failed:
		say(render.Red, "failed", ": "+r.Err.Error())
	}
	for _, warning := range r.Warnings {
		say(render.Yellow, "warning", ": "+warning)
	}
	for _, s := range r.Steps {
		for _, c := range s.GetConflicts() {
			say(render.Yellow, "warning", ": "+disagreement(s, c))
		}
	}
	for _, s := range r.Shadows {
		for _, would := range intentions(s) {
			say(render.Cyan, "shadow", fmt.Sprintf(" %s: %s", s.GetBackend(), would))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// changedBy lists the mutators that changed the object.
func (r *Result) changedBy() string {
	var names []string
	for _, s := range r.States {
		if !slices.Contains(names, s.Backend) {
			names = append(names, s.Backend)
		}
	}
	switch {
	case !r.Concerned() && slices.ContainsFunc(r.Shadows, concerned):
		return ", concerns only shadows"
	case !r.Concerned():
		return ", concerns no backend"
	case len(names) == 0:
		return ""
	}
	return ", changed by " + strings.Join(names, ", ")
}

// Concerned tells whether any backend had something to say about the object.
func (r *Result) Concerned() bool { return slices.ContainsFunc(r.Steps, concerned) }

func concerned(s *gatewayv1.Step) bool {
	return s.GetOutcome() != gatewayv1.Outcome_OUTCOME_NOT_MATCHED
}

// Denials returns every refusal as its backend worded it; that of the gate itself where no backend refused, and
// none where the object was not denied.
func (r *Result) Denials() []string {
	var all []string
	for _, s := range r.Steps {
		for _, d := range s.GetDenials() {
			all = append(all, d.GetMessage())
		}
	}
	if len(all) == 0 && r.Verdict == Denied {
		all = append(all, r.Status.GetMessage())
	}
	return all
}

// denials returns every refusal with the backend that gave it.
func (r *Result) denials() []string {
	var all []string
	for _, s := range r.Steps {
		for _, d := range s.GetDenials() {
			all = append(all, fmt.Sprintf(" by %s: %s", s.GetBackend(), d.GetMessage()))
		}
	}
	if len(all) == 0 { // the gate itself refused
		all = append(all, ": "+r.Status.GetMessage())
	}
	return all
}

// disagreement says who has overruled whom. Values are left out, they may be secrets.
func disagreement(s *gatewayv1.Step, c *gatewayv1.Conflict) string {
	overruling := fmt.Sprintf("overwrites %s, which %s had set", c.GetField(), c.GetOverruled())
	for _, op := range s.GetOperations() {
		removes := op.GetOp() == admissionv1.PatchOp_PATCH_OP_REMOVE
		switch {
		case removes && strings.HasPrefix(c.GetField()+"/", op.GetPath()+"/"):
			overruling = fmt.Sprintf("removes %s, which %s had set", c.GetField(), c.GetOverruled())
		case !removes && op.GetPath() == c.GetField():
			overruling = fmt.Sprintf("sets %s, which %s had set to something else", c.GetField(), c.GetOverruled())
		}
	}
	return fmt.Sprintf("%s %s; the later one has its way", s.GetBackend(), overruling)
}

// intentions are what a shadow would have done, and nothing where it agrees.
func intentions(s *gatewayv1.Step) []string {
	if s.GetError() != "" {
		return []string{"failed: " + s.GetError()}
	}
	var all []string
	for _, d := range s.GetDenials() {
		all = append(all, "would deny: "+d.GetMessage())
	}
	if len(s.GetChanged()) > 0 {
		all = append(all, "would change "+strings.Join(s.GetChanged(), ", "))
	}
	return all
}
