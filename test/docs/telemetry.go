package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// metric is one of ours, as Prometheus shows it.
type metric struct {
	Name, Type, Help string
	Labels, From     map[string]bool
}

// spanKind is all spans of one name.
type spanKind struct {
	Name, Kind, Text         string
	Indent                   string
	Attributes, Events, From map[string]bool
	parents                  map[string]bool
}

// telemetryPage runs the system and describes what it told; and the log lines that are in the code.
func telemetryPage(ctx context.Context, root string, w *words) (any, error) {
	observers, err := observe(ctx, root)
	if err != nil {
		return nil, err
	}
	metrics, groups := metricsOf(observers)
	labels := map[string]bool{}
	for _, m := range metrics {
		maps.Copy(labels, m.Labels)
	}
	spans := spansOf(observers, w)
	attributes := map[string]bool{}
	for _, s := range spans {
		maps.Copy(attributes, s.Attributes)
	}
	reasons, err := causes(root)
	if err != nil {
		return nil, err
	}
	lines, fields, err := logs(root, w, metrics, attributes)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"Metrics": metrics, "Groups": w.all("metric groups", groups), "Labels": w.all("labels", labels), "Causes": reasons,
		"Spans": spans, "Attributes": w.all("attributes", attributes), "Logs": lines, "Fields": fields,
	}, nil
}

// metricsOf returns our own metrics, and the prefixes of the others.
func metricsOf(observers map[string]*observer) (own []*metric, groups map[string]bool) {
	byHelp := map[string]*metric{}
	groups = map[string]bool{}
	for program, o := range observers {
		for name, family := range o.metrics {
			if !strings.HasPrefix(name, "gatefold_") {
				parts := strings.SplitN(name, "_", 3)
				if parts[0] == "rpc" {
					parts[0] += "_" + parts[1]
				}
				groups[parts[0]+"_*"] = true
				continue
			}
			key := name + " " + family.GetHelp()
			if byHelp[key] == nil {
				byHelp[key] = &metric{
					Name: name, Type: strings.ToLower(family.GetType().String()), Help: family.GetHelp(),
					Labels: map[string]bool{}, From: map[string]bool{},
				}
				own = append(own, byHelp[key])
			}
			byHelp[key].From[program] = true
			for _, series := range family.GetMetric() {
				for _, label := range series.GetLabel() {
					byHelp[key].Labels[label.GetName()] = true
				}
			}
		}
	}
	slices.SortFunc(own, func(a, b *metric) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Help, b.Help)) })
	return own, groups
}

// spansOf returns the spans by name, each below its parent.
func spansOf(observers map[string]*observer, w *words) []*spanKind {
	all := map[trace.SpanID]sdktrace.ReadOnlySpan{}
	for _, o := range observers {
		for _, s := range o.spans.Ended() {
			all[s.SpanContext().SpanID()] = s
		}
	}
	kinds := map[string]*spanKind{}
	for program, o := range observers {
		for _, s := range o.spans.Ended() {
			key := keyOf(s)
			if kinds[key] == nil {
				kinds[key] = &spanKind{
					Name: nameOf(s), Kind: s.SpanKind().String(), Text: w.of("spans", nameOf(s)),
					Attributes: map[string]bool{}, Events: map[string]bool{}, From: map[string]bool{}, parents: map[string]bool{},
				}
			}
			k := kinds[key]
			k.From[program] = true
			for _, a := range s.Attributes() {
				k.Attributes[string(a.Key)] = true
			}
			for _, e := range s.Events() {
				k.Events[e.Name] = true
				for _, a := range e.Attributes {
					k.Attributes[string(a.Key)] = true
				}
			}
			if parent := all[s.Parent().SpanID()]; parent != nil {
				k.parents[keyOf(parent)] = true
			}
		}
	}
	return below("", "", kinds)
}

// below lists the spans under a parent in order of their names. One with parents of several kinds, such as the
// call of a mutator, is under each of them.
func below(parent, indent string, kinds map[string]*spanKind) []*spanKind {
	var out []*spanKind
	for _, key := range slices.Sorted(maps.Keys(kinds)) {
		k := *kinds[key]
		if parent == "" && len(k.parents) == 0 || k.parents[parent] {
			k.Indent = indent
			out = append(append(out, &k), below(key, indent+"&emsp;", kinds)...)
		}
	}
	return out
}

func keyOf(s sdktrace.ReadOnlySpan) string { return nameOf(s) + " " + s.SpanKind().String() }

// nameOf is the span's name without the backend's name or the path in it.
func nameOf(s sdktrace.ReadOnlySpan) string {
	name, what, ok := strings.Cut(s.Name(), " ")
	switch {
	case !ok:
		return s.Name()
	case strings.HasPrefix(what, "/"):
		return name + " PATH"
	default:
		return name + " NAME"
	}
}

// logs returns the log lines and their fields. On the way it checks that the names of metrics and
// attributes that are in the code were all seen: the page would lack the others.
func logs(root string, w *words, metrics []*metric, attributes map[string]bool) ([]logLine, []described, error) {
	var lines []logLine
	fields := map[string]bool{"time": true, "level": true, "service": true, "msg": true, "trace_id": true, "span_id": true}
	var unseen []error
	for _, in := range []struct{ folder, from string }{
		{"gateway", "gateway"}, {"mutator-svc", "mutator"}, {"validator-svc", "validator"}, {"policy", "mutator, validator"}, {"sdk", "any"},
	} {
		told, err := readTelling(filepath.Join(root, in.folder), in.from)
		if err != nil {
			return nil, nil, err
		}
		for name, file := range told.names {
			prefix := strings.ReplaceAll(name, ".", "_")
			isMetric := slices.ContainsFunc(metrics, func(m *metric) bool { return strings.HasPrefix(m.Name, prefix) })
			if !attributes[name] && !isMetric {
				unseen = append(unseen, fmt.Errorf("%s has %s, which no review showed: let one show it in test/docs/reviews.go", file, name))
			}
		}
		lines = append(lines, told.lines...)
	}
	for i, line := range lines {
		if line.Level == "" {
			lines[i].Level = w.of("log levels", line.Message)
		}
		for _, name := range line.Fields {
			fields[name] = true
		}
	}
	slices.SortStableFunc(lines, func(a, b logLine) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Message, b.Message)) })
	return lines, w.all("log fields", fields), errors.Join(unseen...)
}
