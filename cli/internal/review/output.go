package review

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/gatefold/gatefold/cli/internal/render"
	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	gatewayv1 "github.com/gatefold/gatefold/proto/gen/gatefold/gateway/v1"
)

// Printer writes one result.
type Printer func(w io.Writer, r *Result) error

// Printers returns the printers by the name of their format:
//   - diff: what changed, with the backend beside each line
//   - yaml: the final objects as YAML documents; those that are not allowed are left out
//   - json: everything known about each object, as one JSON value a line
//   - patch: each object's JSON Patch (RFC 6902), one a line; null for those that are not allowed
func Printers(style render.Style) map[string]Printer {
	return map[string]Printer{
		"diff":  func(w io.Writer, r *Result) error { return printDiff(w, style, r) },
		"yaml":  printYAML,
		"json":  printJSON,
		"patch": printPatch,
	}
}

func printDiff(w io.Writer, style render.Style, r *Result) error {
	if _, err := fmt.Fprintf(w, "%s  %s\n", style.Paint(render.Bold, r.Name()), style.Paint(render.Dim, r.Object.Source)); err != nil {
		return err
	}
	if r.Final == nil {
		_, err := fmt.Fprintf(w, "%s\n\n", style.Paint(render.Dim, "no object comes out"))
		return err
	}
	story, err := r.Story()
	if err != nil {
		return err
	}
	if err := render.Diff(w, style, story); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w)
	return err
}

func printYAML(w io.Writer, r *Result) error {
	if r.Verdict != Allowed || r.Final == nil {
		return nil
	}
	text, err := r.Final.YAML()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "---\n%s", text)
	return err
}

func printPatch(w io.Writer, r *Result) error {
	if r.Verdict != Allowed {
		_, err := fmt.Fprintln(w, "null")
		return err
	}
	return writeLine(w, operations(r.Patch))
}

// record is one line of the json format.
type record struct {
	Ref      reference       `json:"ref"`
	Allowed  bool            `json:"allowed"`
	Status   *refusal        `json:"status,omitempty"`
	Error    string          `json:"error,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Rounds   int             `json:"rounds"`
	Steps    []step          `json:"steps"`
	Shadows  []step          `json:"shadows,omitempty"`
	Patch    []operation     `json:"patch"`
	Object   json.RawMessage `json:"object,omitempty"`
}

type reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	Source     string `json:"source"`
}

// refusal has the names of metav1.Status.
type refusal struct {
	Message string  `json:"message"`
	Reason  string  `json:"reason,omitempty"`
	Code    int32   `json:"code,omitempty"`
	Causes  []cause `json:"causes,omitempty"`
}

type cause struct {
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

type step struct {
	Backend string `json:"backend"`
	Outcome string `json:"outcome"`
	// Order counts those that were asked, from 1; a shadow has none.
	Order int `json:"order,omitempty"`
	// Asked is how often the backend was asked.
	Asked      int32       `json:"asked,omitempty"`
	Peer       string      `json:"peer,omitempty"`
	Operations []operation `json:"operations,omitempty"`
	// Fields are the JSON pointers of what the operations added, replaced or removed.
	Fields     []string   `json:"fields,omitempty"`
	Conflicts  []conflict `json:"conflicts,omitempty"`
	Denials    []refusal  `json:"denials,omitempty"`
	Warnings   []string   `json:"warnings,omitempty"`
	DurationMS float64    `json:"durationMs"`
	Error      string     `json:"error,omitempty"`
}

// conflict is a value of another backend that is no longer there.
type conflict struct {
	Field string `json:"field"`
	// Overruled is the backend that had set it.
	Overruled string `json:"overruled"`
}

func printJSON(w io.Writer, r *Result) error {
	out := record{
		Ref: reference{
			APIVersion: r.Object.APIVersion(), Kind: r.Object.Kind(), Namespace: r.Namespace,
			Name: r.Object.Name(), Source: r.Object.Source,
		},
		Allowed:  r.Verdict == Allowed,
		Warnings: r.Warnings,
		Rounds:   r.Rounds,
		Steps:    []step{},
		Patch:    operations(r.Patch),
	}
	if r.Verdict == Denied {
		out.Status = &refusal{r.Status.GetMessage(), r.Status.GetReason(), r.Status.GetCode(), causes(r.Status.GetCauses())}
	}
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	order := 0
	for _, s := range r.Steps {
		one := stepOf(s)
		if one.Asked > 0 {
			order++
			one.Order = order
		}
		out.Steps = append(out.Steps, one)
	}
	for _, s := range r.Shadows {
		out.Shadows = append(out.Shadows, stepOf(s))
	}
	if r.Final != nil {
		out.Object = r.Final.JSON()
	}
	return writeLine(w, out)
}

func stepOf(s *gatewayv1.Step) step {
	out := step{
		Backend:    s.GetBackend(),
		Outcome:    outcomes[s.GetOutcome()],
		Asked:      s.GetAsked(),
		Peer:       s.GetPeer(),
		Fields:     s.GetChanged(),
		Warnings:   s.GetWarnings(),
		DurationMS: float64(s.GetDuration().AsDuration().Microseconds()) / 1000,
		Error:      s.GetError(),
	}
	if len(s.GetOperations()) > 0 {
		out.Operations = operations(s.GetOperations())
	}
	for _, c := range s.GetConflicts() {
		out.Conflicts = append(out.Conflicts, conflict{c.GetField(), c.GetOverruled()})
	}
	for _, d := range s.GetDenials() {
		out.Denials = append(out.Denials, refusal{d.GetMessage(), d.GetReason(), d.GetCode(), causes(d.GetCauses())})
	}
	return out
}

var outcomes = map[gatewayv1.Outcome]string{
	gatewayv1.Outcome_OUTCOME_NOT_MATCHED: "NotMatched",
	gatewayv1.Outcome_OUTCOME_ALLOWED:     "Allowed",
	gatewayv1.Outcome_OUTCOME_CHANGED:     "Changed",
	gatewayv1.Outcome_OUTCOME_DENIED:      "Denied",
	gatewayv1.Outcome_OUTCOME_FAILED:      "Failed",
	gatewayv1.Outcome_OUTCOME_IGNORED:     "Ignored",
	gatewayv1.Outcome_OUTCOME_SKIPPED:     "Skipped",
}

func causes(in []*admissionv1.Cause) []cause {
	var out []cause
	for _, c := range in {
		out = append(out, cause{c.GetReason(), c.GetMessage(), c.GetField()})
	}
	return out
}

// writeLine writes a value as one line of JSON. Text stays as it is: escaping "<" for HTML would only
// make it harder to read.
func writeLine(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
