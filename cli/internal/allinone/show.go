package allinone

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/gatefold/gatefold/cli/internal/manifest"
	"github.com/gatefold/gatefold/cli/internal/render"
	"github.com/gatefold/gatefold/cli/internal/review"
	"github.com/gatefold/gatefold/cli/internal/webhook"
)

// traceTimeout bounds the wait for the rest of a trace whose root has ended. The spans of services that
// have answered end at once; that of a call to a backend which cannot be reached may not end at all.
const traceTimeout = 500 * time.Millisecond

// demonstration sends the examples through the gate's own port and reports.
type demonstration struct {
	Options
	doors     *doors
	telemetry *allTelemetry
	decisions *review.Decisions
}

func (d *demonstration) run(ctx context.Context) error {
	if err := d.waitReady(ctx); err != nil {
		return err
	}
	d.banner()
	transport := &http.Transport{TLSClientConfig: d.doors.clientTLS, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	reviewer := &review.Reviewer{
		Gate:      &webhook.Client{HTTP: &http.Client{Transport: transport}, URL: d.url(), Telemetry: d.telemetry.client},
		Decisions: d.decisions,
		Requests:  d.Requests,
	}
	var tries []string
	names := map[string]int{} // of the files; examples may share one
	for _, o := range d.Examples {
		result, err := d.example(ctx, reviewer, o)
		if err != nil {
			return err
		}
		name := strings.ReplaceAll(o.Ref(), "/", "-")
		if names[name]++; names[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, names[name])
		}
		try, err := d.try(name, result)
		if err != nil {
			return err
		}
		tries = append(tries, try)
	}
	d.telemetry.spans.Stop()
	d.telemetry.serving.Store(true)
	if !d.Once {
		d.farewell(tries)
	}
	return nil
}

// waitReady returns once the gate says that it is ready.
func (d *demonstration) waitReady(ctx context.Context) error {
	const interval = 5 * time.Millisecond
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.admin()+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("waiting for the gate: %w", err)
		}
		resp, err := client.Do(r)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}

func (d *demonstration) admin() string { return "http://" + d.doors.admin.Addr().String() }

func (d *demonstration) url() string { return "https://" + d.doors.reviews.Addr().String() }

// banner says what listens where. Like all of the report it is for people: that standard output is gone
// is no reason to stop serving.
func (d *demonstration) banner() {
	row := func(name, what string) {
		fmt.Fprintf(d.Out, "  %s  %s\n", d.Style.Paint(render.Cyan, fmt.Sprintf("%-10s", name)), what)
	}
	fmt.Fprintf(d.Out, "%s\n\n", d.Style.Paint(render.Bold, "Gatefold: gateway, mutators and validators in one process"))
	row("reviews", d.url()+"/mutate, /validate and /imagereview, with a throwaway CA")
	row("admin", d.admin()+"/readyz and /metrics")
	if m := d.Config.Mutator; m != nil {
		row("mutators", strings.Join(m.Mutators, ", "))
	}
	if v := d.Config.Validator; v != nil {
		row("validators", strings.Join(v.Validators, ", "))
	}
	row("config", d.Config.File+", followed when it changes")
	fmt.Fprintln(d.Out)
}

// example sends one object and reports the verdict, the changes and the trace.
func (d *demonstration) example(ctx context.Context, reviewer *review.Reviewer, o manifest.Object) (*review.Result, error) {
	tracer := d.telemetry.client.TracerProvider.Tracer("github.com/gatefold/gatefold/cli")
	traced, span := tracer.Start(ctx, "create "+o.Ref())
	result, err := reviewer.Review(traced, o)
	span.End()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err() // the gate did not fail, it was stopped
	}
	fmt.Fprintf(d.Out, "%s\n", d.Style.Paint(render.Dim, "── "+o.Source+" "+strings.Repeat("─", max(3, 60-len(o.Source)))))
	if err := result.PrintNotes(d.Logs); err != nil {
		return nil, err
	}
	if err := result.PrintVerdict(d.Out, d.Style); err != nil {
		return nil, err
	}
	if !result.Concerned() {
		fmt.Fprintln(d.Out)
		return result, nil // no change, and a trace of nothing
	}
	if result.Final != nil {
		story, err := result.Story()
		if err != nil {
			return nil, err
		}
		if err := render.Diff(d.Out, d.Style, story); err != nil {
			return nil, err
		}
	}
	fmt.Fprintln(d.Out)
	if err := d.waterfall(ctx, span.SpanContext().TraceID()); err != nil {
		return nil, err
	}
	fmt.Fprintln(d.Out)
	return result, nil
}

func (d *demonstration) waterfall(ctx context.Context, id trace.TraceID) error {
	patient, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	collected, open := d.telemetry.spans.Take(patient, id)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := render.Waterfall(d.Out, d.Style, collected); err != nil {
		return err
	}
	if open > 0 {
		fmt.Fprintln(d.Out, d.Style.Paint(render.Dim, "some steps have not ended yet and are not shown"))
	}
	return nil
}

// try writes the review of an object to a file of that name and returns the command that posts it; "" for objects
// about which there is nothing to see.
func (d *demonstration) try(name string, result *review.Result) (string, error) {
	path, body, err := question(result)
	if err != nil || body == nil {
		return "", err
	}
	file := filepath.Join(d.doors.folder, name+".json")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return "", fmt.Errorf("writing a review to try: %w", err)
	}
	return fmt.Sprintf("curl --cacert %s -H 'Content-Type: application/json' --data-binary @%s '%s%s'", d.doors.caFile, file, d.url(), path), nil
}

// question returns what to post where to see what became of an object; no body where there is nothing to see.
func question(result *review.Result) (path string, body []byte, err error) {
	denied := result.Verdict == review.Denied && result.Validated != nil
	switch {
	case denied && result.Object.IsImageReview():
		return "/imagereview", result.Validated.GetObject(), nil
	case denied:
		body, err = webhook.Encode(result.Validated)
		return "/validate", body, err
	case len(result.Patch) > 0:
		body, err = webhook.Encode(result.Mutated)
		return "/mutate", body, err
	}
	return "", nil, nil
}

// farewell prints the first way to see a patch, the first to see a refusal, and the first to see one of an ImageReview.
func (d *demonstration) farewell(tries []string) {
	seen := map[string]bool{}
	fmt.Fprintf(d.Out, "%s\n\n", d.Style.Paint(render.Bold, "Try it:"))
	for _, try := range tries {
		path := try[strings.LastIndex(try, "/")+1:]
		if try != "" && !seen[path] {
			seen[path] = true
			fmt.Fprintf(d.Out, "  %s\n\n", try)
		}
	}
	fmt.Fprintf(d.Out, "Serving at %s. Ctrl-C to stop.\n", d.url())
}
