package aws

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ConfigMaps finds ConfigMaps.
type ConfigMaps interface {
	// ConfigMap returns a ConfigMap, the same pointer until it changes, or an error for which
	// apierrors.IsNotFound tells that there is none.
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
}

// account is a ServiceAccount.
type account struct{ namespace, name string }

// mapping is the role that the ConfigMap gives a ServiceAccount. An empty audience is kube-apiserver's
// own: what the configuration says is not asked, as in the reference.
type mapping struct {
	RoleARN         string
	Audience        string
	UseRegionalSTS  bool
	TokenExpiration int64

	pattern bool // whether it is for every ServiceAccount that matches, and not for one by name
}

func (m *mapping) settings(cfg Config) settings {
	s := settings{m.UseRegionalSTS, m.TokenExpiration}
	if s.expiration == 0 {
		s.expiration = *cfg.TokenExpirationSeconds
	}
	s.expiration = max(s.expiration, minTokenExpiration)
	return s
}

// roleMap is the content of the ConfigMap, as far as it can be used. A nil roleMap has no roles.
type roleMap struct {
	source ConfigMaps
	at     RoleConfigMap
	logger *slog.Logger

	mu       sync.Mutex
	read     *corev1.ConfigMap // what exact and patterns were read from
	exact    map[account]*mapping
	patterns []pattern // the most particular one first
}

type pattern struct {
	namespace, name string
	mapping         *mapping
}

// find returns the mapping of a ServiceAccount: one by its name before any pattern.
func (r *roleMap) find(namespace, name string) (*mapping, bool) {
	if r == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	if m, ok := r.exact[account{namespace, name}]; ok {
		return m, true
	}
	for _, p := range r.patterns {
		if matches(p.namespace, namespace) && matches(p.name, name) {
			return p.mapping, true
		}
	}
	return nil, false
}

func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // bad patterns were refused when they were read
	return ok
}

// refresh reads the ConfigMap again if it has changed. What cannot be used of it is logged, once. Of a
// ConfigMap that cannot be read at all the previous roles stay in force; of one that is gone, none.
func (r *roleMap) refresh() {
	now, err := r.source.ConfigMap(r.at.Namespace, r.at.Name)
	switch {
	case apierrors.IsNotFound(err):
		r.read, r.exact, r.patterns = nil, nil, nil
		return
	case err != nil || now == r.read: // an error is that of a lister, which has none
		return
	}
	r.read = now
	logger := r.logger.With("config_map", r.at.Namespace+"/"+r.at.Name)
	entries := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(now.Data["config"]), &entries); err != nil && now.Data["config"] != "" {
		logger.Error("roles not read, the last good ones stay in force: config is not a JSON object", "error", err.Error())
		return
	}
	r.exact, r.patterns = map[account]*mapping{}, nil
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if err := r.add(key, entries[key]); err != nil {
			logger.Error("an entry of the roles is passed over", "entry", key, "error", err.Error())
		}
	}
	slices.SortStableFunc(r.patterns, func(a, b pattern) int { return b.weight() - a.weight() })
	logger.Info("roles in force", "service_accounts", len(r.exact), "patterns", len(r.patterns))
}

// weight says how particular a pattern is: by the letters that are not free.
func (p pattern) weight() int {
	return len(strings.NewReplacer("*", "", "?", "").Replace(p.namespace + p.name))
}

// add takes an entry, "NAMESPACE/SERVICEACCOUNT": {…}, where both may be patterns.
func (r *roleMap) add(key string, value json.RawMessage) error {
	namespace, name, ok := strings.Cut(key, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return errors.New("write NAMESPACE/SERVICEACCOUNT")
	}
	var m *mapping
	if err := json.Unmarshal(value, &m); err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	if m == nil || m.RoleARN == "" {
		return errors.New("it has no RoleARN")
	}
	if !strings.ContainsAny(key, `*?[\`) {
		r.exact[account{namespace, name}] = m
		return nil
	}
	for _, part := range []string{namespace, name} {
		if _, err := path.Match(part, ""); err != nil {
			return fmt.Errorf("reading the pattern %s: %w", part, err)
		}
	}
	m.pattern = true
	r.patterns = append(r.patterns, pattern{namespace, name, m})
	return nil
}
