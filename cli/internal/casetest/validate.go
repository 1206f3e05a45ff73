package casetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatefold/gatefold/sdk/config"
)

// The operations of a case.
const (
	opCreate  = "CREATE"
	opUpdate  = "UPDATE"
	opDelete  = "DELETE"
	opConnect = "CONNECT"
)

var _ interface {
	config.Document
	config.PathResolver
} = (*Test)(nil)

// SetDefaults fills what was left out.
func (t *Test) SetDefaults() {
	if t.Mutator != nil {
		t.Mutator.SetDefaults()
	}
	if t.Validator != nil {
		t.Validator.SetDefaults()
	}
	for i := range t.Cases {
		c := &t.Cases[i]
		switch {
		case c.Operation != "":
			c.Operation = strings.ToUpper(c.Operation)
		case c.OldObject == nil:
			c.Operation = opCreate
		case c.Object == nil:
			c.Operation = opDelete
		default:
			c.Operation = opUpdate
		}
	}
}

// ResolvePaths replaces every path p by resolve(p).
func (t *Test) ResolvePaths(resolve func(string) string) {
	resolveAll := func(sources []Source) {
		for i := range sources {
			sources[i].Path = resolve(sources[i].Path)
		}
	}
	resolveAll(t.Policies)
	resolveAll(t.Objects)
	t.Config = resolve(t.Config)
	if t.Mutator != nil {
		t.Mutator.ResolvePaths(resolve)
	}
	if t.Validator != nil {
		t.Validator.ResolvePaths(resolve)
	}
	for i := range t.Cases {
		c := &t.Cases[i]
		resolveAll(c.Policies)
		resolveAll(c.Objects)
		for _, s := range []*Source{c.Object, c.OldObject, c.Expect.Object} {
			if s != nil {
				s.Path = resolve(s.Path)
			}
		}
	}
}

// Validate says what is wrong with t, but for what files hold.
func (t *Test) Validate() field.ErrorList {
	errs := t.validateTarget()
	if len(t.Cases) == 0 {
		errs = append(errs, field.Required(field.NewPath("cases"), "write at least one, with name, object and expect"))
	}
	for i := range t.Cases {
		path, c := field.NewPath("cases").Index(i), &t.Cases[i]
		errs = append(errs, c.validate(path)...)
		if len(c.Policies) > 0 && len(t.Policies) == 0 {
			errs = append(errs, field.Forbidden(path.Child("policies"), "only a test of policies can put others beside them"))
		}
	}
	return errs
}

func (t *Test) validateTarget() field.ErrorList {
	var errs field.ErrorList
	given := 0
	for _, is := range []bool{len(t.Policies) > 0, t.Config != "", t.Mutator != nil || t.Validator != nil} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		errs = append(errs, field.Required(field.NewPath("policies"), "say what is tested: policies, config, or mutator and validator"))
	case given > 1:
		errs = append(errs, field.Forbidden(field.NewPath("policies"), "test one thing: policies, or config, or mutator and validator"))
	}
	if t.Mutator != nil {
		errs = append(errs, below("mutator", t.Mutator.Validate())...)
	}
	if t.Validator != nil {
		errs = append(errs, below("validator", t.Validator.Validate())...)
	}
	return errs
}

// below moves errors to the field in which their document stands.
func below(name string, errs field.ErrorList) field.ErrorList {
	for _, err := range errs {
		err.Field = name + "." + err.Field
	}
	return errs
}

func (c *Case) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "say in a few words what the case shows"))
	}
	needs := map[string]struct{ object, old bool }{
		opCreate: {object: true}, opUpdate: {true, true}, opDelete: {old: true}, opConnect: {object: true},
	}
	if need, known := needs[c.Operation]; !known {
		errs = append(errs, field.NotSupported(path.Child("operation"), c.Operation, []string{opCreate, opUpdate, opDelete, opConnect}))
	} else {
		errs = append(errs, c.present(path.Child("object"), c.Object, need.object)...)
		errs = append(errs, c.present(path.Child("oldObject"), c.OldObject, need.old)...)
	}
	if gvr, _ := schema.ParseResourceArg(c.Resource); c.Resource != "" && gvr == nil {
		errs = append(errs, field.Invalid(path.Child("resource"), c.Resource, "write RESOURCE.VERSION.GROUP, such as deployments.v1.apps or replicationcontrollers.v1."))
	}
	return append(errs, c.Expect.validate(path.Child("expect"), c.Operation)...)
}

func (c *Case) present(path *field.Path, s *Source, needed bool) field.ErrorList {
	switch {
	case needed && s == nil:
		return field.ErrorList{field.Required(path, fmt.Sprintf("%s has one: name a file, or write the object", withArticle(c.Operation)))}
	case !needed && s != nil:
		return field.ErrorList{field.Forbidden(path, withArticle(c.Operation)+" has none")}
	}
	return nil
}

func withArticle(operation string) string {
	if operation == opUpdate {
		return "an " + operation
	}
	return "a " + operation
}

func (e *Expect) validate(path *field.Path, operation string) field.ErrorList {
	var errs field.ErrorList
	allowed, denied := e.Allowed != nil && *e.Allowed, e.Allowed != nil && !*e.Allowed
	switch {
	case e.Allowed == nil && e.Error == nil:
		return append(errs, field.Required(path, "say what shall come of it: allowed: true, allowed: false, or error with a part of its text"))
	case e.Allowed != nil && e.Error != nil:
		errs = append(errs, field.Forbidden(path.Child("allowed"), "an error is no verdict: keep one of them"))
	}
	if e.Message != "" && e.Messages != nil {
		errs = append(errs, field.Forbidden(path.Child("message"), "messages is there too: keep one of them"))
	}
	if denied && e.Messages != nil && len(e.Messages) == 0 {
		errs = append(errs, field.Required(path.Child("messages"), "a denial has one at least"))
	}
	forbid := func(is bool, why string, fields map[string]bool) {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if fields[name] && is {
				errs = append(errs, field.Forbidden(path.Child(name), why))
			}
		}
	}
	forbid(!denied, "only a denial (allowed: false) has it", map[string]bool{
		"message": e.Message != "", "messages": e.Messages != nil, "code": e.Code != 0, "reason": e.Reason != "",
	})
	object := map[string]bool{"fields": e.Fields != nil, "object": e.Object != nil}
	forbid(!allowed, "only what is allowed has it", object)
	forbid(e.Allowed == nil, "only an answer has it", map[string]bool{
		"warnings": e.Warnings != nil, "auditAnnotations": e.AuditAnnotations != nil, "patch": e.Patch != nil,
	})
	forbid(operation == opDelete, "no object comes out of a DELETE", object)
	return append(errs, e.validateFields(path.Child("fields"))...)
}
