package labels_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gatefold/gatefold/mutator-svc/internal/labels"
	"github.com/gatefold/gatefold/sdk"
)

// model says what the object becomes.
func model(t *testing.T, rules []labels.Rule, req *sdk.Request) (want any, denied bool) {
	t.Helper()
	var now, old any
	decode(t, req.GetObject(), &now)
	updating := len(req.GetOldObject()) > 0
	if updating {
		decode(t, req.GetOldObject(), &old)
	}
	image := func(object any) any {
		return at(at(object, "spec", "template", "spec", "containers").([]any)[0], "image")
	}
	for _, target := range []string{labels.Object, labels.PodTemplate} {
		var path []string
		if target == labels.PodTemplate {
			path = []string{"spec", "template"}
		}
		m := modelPlace{now: labelsAt(now, path), old: labelsAt(old, path), updating: updating, frozen: map[string]bool{}}
		if target == labels.PodTemplate {
			m.settled = updating && image(now) == image(old) &&
				maps.Equal(unstamped(rules, m.now), unstamped(rules, m.old))
			m.selected = at(now, "spec", "selector", "matchLabels", "app").(string)
		}
		for _, r := range rules {
			if slices.Contains(r.Targets, target) {
				denied = m.freeze(r, req.GetUserInfo().GetUsername()) || denied
			}
		}
		for _, r := range rules {
			if slices.Contains(r.Targets, target) {
				denied = m.apply(r, req.GetUserInfo().GetUsername()) || denied
			}
		}
		setLabels(now, path, m.now)
	}
	return prune(now), denied
}

type modelPlace struct {
	now, old          map[string]string
	updating, settled bool
	selected          string // the value of label app that the selector wants; empty: none
	frozen            map[string]bool
}

func (m *modelPlace) put(key, value string) {
	switch {
	case key == "app" && m.selected != "" && value != m.selected: // the object would be invalid
	case value == "":
		delete(m.now, key)
	default:
		m.now[key] = value
	}
}

func (m *modelPlace) stamps(r labels.Rule) bool {
	operation := "CREATE"
	if m.updating {
		operation = "UPDATE"
	}
	return slices.Contains(r.Match.Operations, operation)
}

func (m *modelPlace) freeze(r labels.Rule, user string) (denied bool) {
	if !m.updating || r.Immutable == "" || slices.Contains(r.Except.Users, user) {
		return false
	}
	for key := range r.Set.Labels {
		if m.frozen[key] || m.old[key] == "" && m.stamps(r) {
			continue
		}
		m.frozen[key] = true
		if r.Immutable == labels.Deny && m.now[key] != m.old[key] {
			denied = true
		} else if m.now[key] != m.old[key] {
			m.put(key, m.old[key])
		}
	}
	return denied
}

func (m *modelPlace) apply(r labels.Rule, user string) (denied bool) {
	if !m.stamps(r) {
		return false
	}
	excepted := slices.Contains(r.Except.Users, user)
	untouched := func(key string) bool { return m.frozen[key] || m.settled && m.now[key] == m.old[key] }
	for _, key := range slices.Sorted(maps.Keys(m.now)) {
		named := slices.Contains(r.Remove.Labels, key) || strings.HasPrefix(key, "c.io/") && slices.Contains(r.Remove.Labels, "c.io/*")
		if _, set := r.Set.Labels[key]; named && !set && !excepted && !untouched(key) {
			m.put(key, "")
		}
	}
	for key, value := range r.Set.Labels {
		now, old := m.now[key], m.old[key] // empty: not there; no value is empty here
		switch {
		case untouched(key):
		case m.settled && now == "" && old != "":
			m.put(key, old)
		case now == "" || r.WhenPresent == labels.Overwrite && !excepted:
			m.put(key, value)
		case r.WhenPresent == labels.Deny && !excepted && now != value:
			denied = true
		}
	}
	return denied
}

// unstamped is what rules for templates do not name.
func unstamped(rules []labels.Rule, in map[string]string) map[string]string {
	out := maps.Clone(in)
	for _, r := range rules {
		maps.DeleteFunc(out, func(key, _ string) bool {
			_, set := r.Set.Labels[key]
			removed := slices.Contains(r.Remove.Labels, key) ||
				strings.HasPrefix(key, "c.io/") && slices.Contains(r.Remove.Labels, "c.io/*")
			return slices.Contains(r.Targets, labels.PodTemplate) && (set || removed)
		})
	}
	return out
}

func at(object any, path ...string) any {
	for _, name := range path {
		members, _ := object.(map[string]any)
		object = members[name]
	}
	return object
}

func labelsAt(object any, path []string) map[string]string {
	out := map[string]string{}
	members, _ := at(object, append(slices.Clone(path), "metadata", "labels")...).(map[string]any)
	for key, value := range members {
		out[key] = value.(string)
	}
	return out
}

func setLabels(object any, path []string, to map[string]string) {
	members := map[string]any{}
	for key, value := range to {
		members[key] = value
	}
	at(object, append(slices.Clone(path), "metadata")...).(map[string]any)["labels"] = members
}

// prune makes labels that are not there, null or empty the same.
func prune(object any) any {
	for _, path := range [][]string{nil, {"spec", "template"}} {
		setLabels(object, path, labelsAt(object, path))
	}
	return object
}
