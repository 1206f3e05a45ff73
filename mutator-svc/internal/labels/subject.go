package labels

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/labels"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// subject is the object of one request, as it stands between two rules.
type subject struct {
	req         *sdk.Request
	labels      stringMap
	annotations stringMap
	oldLabels   map[string]string // nil until needed
	object      map[string]any    // nil until an expression asks for it
}

// stringMap is the labels or annotations of an object.
type stringMap struct {
	name   string            // of the member of metadata
	before map[string]string // nil where absent or null; never changed
	after  map[string]string // nil until something changes
}

func (m *stringMap) current() map[string]string {
	if m.after != nil {
		return m.after
	}
	return m.before
}

// view is what is read of an object. Both maps are nil where they are absent or null.
type view struct {
	Metadata *metadata `json:"metadata"`
}

type metadata struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// UnmarshalJSONFrom starts afresh, so that the last of two "metadata" members wins as a whole, as it does
// for those who apply the patch.
func (m *metadata) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	type plain metadata
	*m = metadata{}
	return json.UnmarshalDecode(dec, (*plain)(m))
}

// decoding takes what kube-apiserver takes: names matter in their case, may come twice, and text need
// not be valid UTF-8.
var decoding = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// newSubject returns nil for an object without metadata.
func newSubject(req *sdk.Request) (*subject, error) {
	var v view
	if err := json.Unmarshal(req.GetObject(), &v, decoding); err != nil {
		return nil, fmt.Errorf("decoding the object's metadata: %w", err)
	}
	if v.Metadata == nil {
		return nil, nil
	}
	return &subject{
		req:         req,
		labels:      stringMap{name: "labels", before: v.Metadata.Labels},
		annotations: stringMap{name: "annotations", before: v.Metadata.Annotations},
	}, nil
}

// set changes a key of m, which is one of s's.
func (s *subject) set(m *stringMap, key, value string) {
	if m.after == nil {
		m.after = map[string]string{}
		maps.Copy(m.after, m.before)
	}
	m.after[key] = value
	if s.object != nil {
		s.showCurrent()
	}
}

// operations adds to patch what became of m, without ever replacing a map that is there.
func (m *stringMap) operations(patch *sdk.Patch) {
	if m.before == nil {
		if m.after != nil {
			patch.Add("/metadata/"+m.name, m.after)
		}
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m.after)) {
		if old, present := m.before[key]; !present || old != m.after[key] {
			patch.Add(sdk.Pointer("metadata", m.name, key), m.after[key]) // replaces where present
		}
	}
}

// isNamespace tells whether the object is itself a Namespace, whose own labels then count as those of
// its namespace: nobody can have watched them yet.
func (s *subject) isNamespace() bool {
	resource := s.req.GetResource()
	return resource.GetGroup() == "" && resource.GetResource() == "namespaces"
}

var errNamespaceUnknown = errors.New("the namespace's labels did not come with the request; give the gate a view of the cluster")

// namespace returns the object's namespace; an empty one for a cluster-scoped object.
func (s *subject) namespace() (*admissionv1.Namespace, error) {
	switch {
	case s.isNamespace():
		return &admissionv1.Namespace{
			Name: s.req.GetName(), Labels: s.labels.current(), Annotations: s.annotations.current(),
		}, nil
	case s.req.GetNamespaceObject() != nil:
		return s.req.GetNamespaceObject(), nil
	case s.req.GetNamespace() == "":
		return &admissionv1.Namespace{}, nil
	}
	return nil, errNamespaceUnknown
}

// matches tells whether r applies to s as it stands.
func (s *subject) matches(r *rule) (bool, error) {
	namespace := s.req.GetNamespace()
	if s.isNamespace() {
		namespace = s.req.GetName()
	}
	if r.namespaces != nil && !slices.Contains(r.namespaces, namespace) {
		return false, nil
	}
	if r.namespaceSelector != nil && namespace != "" {
		ns, err := s.namespace()
		if err != nil {
			return false, fmt.Errorf("namespaceSelector: %w", err)
		}
		if !r.namespaceSelector.Matches(labels.Set(ns.GetLabels())) {
			return false, nil
		}
	}
	if r.objectSelector == nil || r.objectSelector.Matches(labels.Set(s.labels.current())) {
		return true, nil
	}
	return s.oldMatches(r.objectSelector)
}

func (s *subject) oldMatches(selector labels.Selector) (bool, error) {
	if len(s.req.GetOldObject()) == 0 {
		return false, nil
	}
	if s.oldLabels == nil {
		var old view
		if err := json.Unmarshal(s.req.GetOldObject(), &old, decoding); err != nil {
			return false, fmt.Errorf("decoding the old object's metadata: %w", err)
		}
		s.oldLabels = map[string]string{}
		if old.Metadata != nil && old.Metadata.Labels != nil {
			s.oldLabels = old.Metadata.Labels
		}
	}
	return selector.Matches(labels.Set(s.oldLabels)), nil
}

// variables returns the values of those of an expression's variables that cost something only where the
// expression reads them.
func (s *subject) variables(references []string) (map[string]any, error) {
	variables := map[string]any{}
	for _, name := range references {
		switch name {
		case varUser:
			variables[name] = userValue(s.req.GetUserInfo())
		case varNamespace:
			ns, err := s.namespace()
			if err != nil {
				return nil, err
			}
			variables[name] = map[string]any{
				"name": ns.GetName(), "labels": orEmpty(ns.GetLabels()), "annotations": orEmpty(ns.GetAnnotations()),
			}
		case varObject:
			if s.object == nil {
				if err := s.req.Decode(&s.object); err != nil {
					return nil, err
				}
				s.showCurrent()
			}
			variables[name] = s.object
		}
	}
	return variables, nil
}

// showCurrent lets expressions see what earlier rules did to the object.
func (s *subject) showCurrent() {
	metadata, ok := s.object["metadata"].(map[string]any)
	if !ok {
		return
	}
	for _, m := range []*stringMap{&s.labels, &s.annotations} {
		if m.after != nil {
			metadata[m.name] = m.after
		}
	}
}

func userValue(user *admissionv1.UserInfo) map[string]any {
	extra := make(map[string][]string, len(user.GetExtra()))
	for key, values := range user.GetExtra() {
		extra[key] = values.GetValues()
	}
	return map[string]any{
		"username": user.GetUsername(), "uid": user.GetUid(), "groups": user.GetGroups(), "extra": extra,
	}
}

// orEmpty spares expressions the difference between a nil and an empty map.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
