package review

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gatefold/gatefold/cli/internal/render"
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

// PrintVerdict writes what became of the object, why, and its warnings, a line each.
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
	case !r.Concerned():
		return ", concerns no backend"
	case len(names) == 0:
		return ""
	}
	return ", changed by " + strings.Join(names, ", ")
}

// Concerned tells whether any backend had something to say about the object.
func (r *Result) Concerned() bool {
	return slices.ContainsFunc(r.Steps, func(s *gatewayv1.Step) bool {
		return s.GetOutcome() != gatewayv1.Outcome_OUTCOME_NOT_MATCHED
	})
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
