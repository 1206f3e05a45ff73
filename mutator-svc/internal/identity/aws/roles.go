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
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ConfigMaps finds ConfigMaps.
type ConfigMaps interface {
	// ConfigMap returns a ConfigMap, the same pointer until it changes, or an error for which
	// apierrors.IsNotFound tells that there is none. Any other error means that it cannot be said.
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
}

// Roles are those that a ConfigMap gives ServiceAccounts. They outlive the Profiles that use them, and
// what was last read stays in force while the ConfigMap cannot be read, or is no JSON object. They are safe
// for concurrent use.
//
// The ConfigMap's "config" is a JSON object with entries "NAMESPACE/SERVICEACCOUNT": {"RoleARN": …,
// "Audience": …, "UseRegionalSTS": …, "TokenExpiration": …}, where both parts of the key may be patterns, in
// which * stands for any characters, ? for one and [a-c] for one of these. One entry is for a
// ServiceAccount, whatever else matches:
//
//  1. the one with its namespace and name, with neither a pattern;
//  2. of the others the one with the most particular namespace: one that is written out comes before any
//     pattern, and then the one with the most characters that stand for themselves;
//  3. of those with equal namespaces, the one whose name is the most particular in the same way;
//  4. and then the first in the order of their keys.
//
// So of "*/web" and "shop/*" the pods of shop/web get what "shop/*" says. An entry that cannot be used still
// is the one for its ServiceAccounts: they have no role, and not that of a pattern that is for others.
type Roles struct {
	source ConfigMaps
	at     RoleConfigMap
	logger *slog.Logger
	name   string // of the ConfigMap, with its namespace, in the log

	current atomic.Pointer[snapshot] // nil: it could never be read
	reading sync.Mutex               // held by who changes current
}

// NewRoles returns the roles of the ConfigMap at at, which is read when it is needed first, and again when
// it has changed. A logger is told what cannot be used of it, once. Nil: nobody is.
func NewRoles(source ConfigMaps, at RoleConfigMap, logger *slog.Logger) *Roles {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Roles{source: source, at: at, logger: logger, name: at.Namespace + "/" + at.Name}
}

// snapshot is what was read of a ConfigMap. It is never changed.
type snapshot struct {
	from     *corev1.ConfigMap // nil: there is none
	exact    map[account]*mapping
	patterns []pattern // the most particular one first
}

// account is a ServiceAccount.
type account struct{ namespace, name string }

// find returns the mapping for a ServiceAccount; nil where there is none, as for all of nil Roles. An error
// means that this is not known.
func (r *Roles) find(namespace, name string) (*mapping, error) {
	if r == nil {
		return nil, nil
	}
	now, err := r.read()
	if err != nil {
		return nil, err
	}
	if m, ok := now.exact[account{namespace, name}]; ok {
		return m, nil
	}
	for _, p := range now.patterns {
		if matches(p.namespace, namespace) && matches(p.name, name) {
			return p.mapping, nil
		}
	}
	return nil, nil
}

func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // bad patterns were refused when they were read
	return ok
}

// read returns what is in force, after a look at whether the ConfigMap has changed.
func (r *Roles) read() (*snapshot, error) {
	if now, _, err := r.look(); now != nil || err != nil {
		return now, err
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	// Again: somebody else may have read it meanwhile, or it may have changed once more.
	now, configMap, err := r.look()
	if now != nil || err != nil {
		return now, err
	}
	now = r.parse(configMap)
	r.current.Store(now)
	return now, nil
}

// look returns what is in force where that is known without reading anything, or else the ConfigMap that is
// to be read, nil where there is none.
func (r *Roles) look() (*snapshot, *corev1.ConfigMap, error) {
	was := r.current.Load()
	configMap, err := r.source.ConfigMap(r.at.Namespace, r.at.Name)
	switch {
	case err == nil:
	case apierrors.IsNotFound(err):
		configMap = nil
	case was != nil:
		return was, nil, nil
	default:
		return nil, nil, fmt.Errorf("reading the roles: %w", err)
	}
	if was != nil && was.from == configMap {
		return was, nil, nil
	}
	return nil, configMap, nil
}

// parse reads a ConfigMap that is not the one in force.
func (r *Roles) parse(configMap *corev1.ConfigMap) *snapshot {
	now := &snapshot{from: configMap, exact: map[account]*mapping{}}
	if configMap == nil {
		return now
	}
	entries := map[string]json.RawMessage{}
	if text := configMap.Data["config"]; text != "" {
		err := json.Unmarshal([]byte(text), &entries)
		if err == nil && entries == nil {
			err = errors.New("it is null")
		}
		if err != nil {
			problem := explain(err, []byte(text))
			if was := r.current.Load(); was != nil && len(was.exact)+len(was.patterns) > 0 {
				now.exact, now.patterns = was.exact, was.patterns
				r.logger.Error("roles not read, the last good ones stay in force: config is not a JSON object", "config_map", r.name, "error", problem)
			} else {
				r.logger.Error("roles not read, there are none in force: config is not a JSON object", "config_map", r.name, "error", problem)
			}
			return now
		}
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if err := now.add(key, entries[key]); err != nil {
			r.logger.Error("an entry of the roles cannot be used", "config_map", r.name, "entry", key, "error", err.Error())
		}
	}
	slices.SortStableFunc(now.patterns, byParticularity)
	r.logger.Info("roles in force", "config_map", r.name, "service_accounts", len(now.exact), "patterns", len(now.patterns))
	return now
}

// add takes an entry. Where only its value cannot be used it is there, to give its ServiceAccounts no role.
func (s *snapshot) add(key string, value json.RawMessage) error {
	namespace, name, ok := strings.Cut(key, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return errors.New("write NAMESPACE/SERVICEACCOUNT")
	}
	for _, part := range []string{namespace, name} {
		if _, err := path.Match(part, ""); err != nil {
			return fmt.Errorf("reading the pattern %s: %w", part, err)
		}
	}
	isPattern := !literal(namespace) || !literal(name)
	m, err := parseMapping(value, isPattern)
	if err != nil {
		m = &mapping{unusable: true}
	}
	if isPattern {
		s.patterns = append(s.patterns, pattern{namespace, name, m})
	} else {
		s.exact[account{namespace, name}] = m
	}
	return err
}
