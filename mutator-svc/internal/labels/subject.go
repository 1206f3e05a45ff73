package labels

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
	"github.com/gatefold/gatefold/sdk"
)

// subject is the object of one request, as it stands between two rules.
type subject struct {
	req      *sdk.Request
	metadata *metadata // as it came
	old      *metadata // nil on CREATE

	object        place
	template      *place
	templateKnown bool
	stamps        *stamps

	decoded, decodedOld map[string]any // nil until an expression asks for them
	constant            map[string]any // the variables that no rule changes, as far as an expression has asked for them
	cost                uint64         // of the expressions so far

	conflicts []*admissionv1.Cause
	warnings  []string
}

// newSubject returns nil for an object that has no metadata or is being deleted. That is what the old object
// says: what a user sends cannot be trusted to say it.
func newSubject(req *sdk.Request, stamps *stamps) (*subject, error) {
	var now, old view
	if err := json.Unmarshal(req.GetObject(), &now, decoding()); err != nil {
		return nil, fmt.Errorf("decoding the object's metadata: %w", err)
	}
	if now.Metadata == nil {
		return nil, nil
	}
	if req.GetOperation() == admissionv1.Operation_OPERATION_UPDATE && len(req.GetOldObject()) > 0 {
		if err := json.Unmarshal(req.GetOldObject(), &old, decoding()); err != nil {
			return nil, fmt.Errorf("decoding the old object's metadata: %w", err)
		}
		if old.Metadata == nil {
			old.Metadata = &metadata{}
		}
		if old.Metadata.DeletionTimestamp != nil {
			return nil, nil
		}
	}
	return &subject{
		req: req, metadata: now.Metadata, old: old.Metadata, stamps: stamps,
		object: newPlace(now.Metadata, old.Metadata),
	}, nil
}

// places are where r works.
func (s *subject) places(r *rule) ([]*place, error) {
	var places []*place
	if r.object {
		places = append(places, &s.object)
	}
	if r.template {
		template, err := s.podTemplate()
		if err != nil {
			return nil, err
		}
		if template != nil {
			places = append(places, template)
		}
	}
	return places, nil
}

// change sets a key of m, which is one of p's, or removes it.
func (s *subject) change(p *place, m *stringMap, key, value string, present bool) {
	m.change(key, value, present)
	if s.decoded != nil {
		s.show(p)
	}
}

var errNamespaceUnknown = errors.New("the namespace's labels did not come with the request; give the gate a view of the cluster")

// namespace returns the object's namespace; an empty one for a cluster-scoped object. object says which of two
// counts where the object is itself a Namespace.
func (s *subject) namespace(object which) (*admissionv1.Namespace, error) {
	switch {
	case isNamespace(s.req.AdmissionRequest) && object == asItWas:
		return &admissionv1.Namespace{Name: s.req.GetName(), Labels: s.old.Labels, Annotations: s.old.Annotations}, nil
	case isNamespace(s.req.AdmissionRequest):
		return &admissionv1.Namespace{
			Name: s.req.GetName(), Labels: s.object.labels.current(), Annotations: s.object.annotations.current(),
		}, nil
	case s.req.GetNamespaceObject() != nil:
		return s.req.GetNamespaceObject(), nil
	case s.req.GetNamespace() == "":
		return &admissionv1.Namespace{}, nil
	}
	return nil, errNamespaceUnknown
}

// which of two objects the variable object is.
type which bool

const (
	asItIs  which = false // as the rules so far have made it
	asItWas which = true  // before the update
)

// variables returns the values of those of an expression's variables that cost something only where the
// expression reads them.
func (s *subject) variables(references []string, object which) (map[string]any, error) {
	variables := map[string]any{}
	for _, name := range references {
		var err error
		switch {
		case name == varOldObject, name == varObject && object == asItWas:
			variables[name], err = s.oldObjectValue()
		case name == varObject:
			variables[name], err = s.objectValue()
		case name == varNamespace && isNamespace(s.req.AdmissionRequest):
			variables[name], err = s.namespaceValue(object)
		case name == varUser, name == varRequest, name == varNamespace:
			variables[name], err = s.constantValue(name)
		}
		if err != nil {
			return nil, err
		}
	}
	return variables, nil
}

func (s *subject) constantValue(name string) (value any, err error) {
	if value, ok := s.constant[name]; ok {
		return value, nil
	}
	switch name {
	case varUser:
		value = userValue(s.req.GetUserInfo())
	case varRequest:
		value = requestValue(s.req.AdmissionRequest)
	case varNamespace:
		value, err = s.namespaceValue(asItIs)
	}
	if s.constant == nil {
		s.constant = map[string]any{}
	}
	if err == nil {
		s.constant[name] = value
	}
	return value, err
}

func (s *subject) objectValue() (any, error) {
	if s.decoded == nil {
		if err := s.req.Decode(&s.decoded); err != nil {
			return nil, err
		}
		s.show(&s.object)
		if s.template != nil {
			s.show(s.template)
		}
	}
	return s.decoded, nil
}

// oldObjectValue is null on CREATE.
func (s *subject) oldObjectValue() (any, error) {
	if len(s.req.GetOldObject()) == 0 {
		return nil, nil
	}
	if s.decodedOld == nil {
		if err := s.req.DecodeOld(&s.decodedOld); err != nil {
			return nil, err
		}
	}
	return s.decodedOld, nil
}

// show lets expressions see what earlier rules did to the object.
func (s *subject) show(p *place) {
	at := s.decoded
	for _, name := range append(slices.Clone(p.path), "metadata") {
		next, ok := at[name].(map[string]any)
		if !ok {
			if name != "metadata" {
				return
			}
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	for _, m := range []*stringMap{&p.labels, &p.annotations} {
		if m.after != nil {
			at[m.name] = m.after
		}
	}
}

func (s *subject) namespaceValue(object which) (any, error) {
	ns, err := s.namespace(object)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"name": ns.GetName(), "labels": orEmpty(ns.GetLabels()), "annotations": orEmpty(ns.GetAnnotations()),
	}, nil
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

func requestValue(req *admissionv1.AdmissionRequest) map[string]any {
	kind, resource := req.GetKind(), req.GetResource()
	return map[string]any{
		"operation":   operationName(req),
		"kind":        map[string]any{"group": kind.GetGroup(), "version": kind.GetVersion(), "kind": kind.GetKind()},
		"resource":    map[string]any{"group": resource.GetGroup(), "version": resource.GetVersion(), "resource": resource.GetResource()},
		"subResource": req.GetSubResource(),
		"name":        req.GetName(),
		"namespace":   req.GetNamespace(),
		"dryRun":      req.GetDryRun(),
		"userInfo":    userValue(req.GetUserInfo()),
	}
}

func operationName(req *admissionv1.AdmissionRequest) string {
	if req.GetOperation() == admissionv1.Operation_OPERATION_UPDATE {
		return "UPDATE"
	}
	return "CREATE"
}

// orEmpty spares expressions the difference between a nil and an empty map.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
