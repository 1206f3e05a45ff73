// Package casetest runs tests of policies: cases in YAML that say what the gate shall make of a request. They
// go through the real gate and services, in this process.
package casetest

import (
	"encoding/json"
	"errors"

	mutatorsvc "github.com/gatefold/gatefold/mutator-svc"
	"github.com/gatefold/gatefold/sdk/config"
	validatorsvc "github.com/gatefold/gatefold/validator-svc"
)

// Kind is the kind of the documents in a test file.
const Kind = "Test"

// Test is one document of a test file.
type Test struct {
	config.TypeMeta `json:",inline"`
	// Policies are files or folders of ValidatingAdmissionPolicies, MutatingAdmissionPolicies, their bindings
	// and params. Every request is sent to both kinds, to the mutating ones first.
	Policies []Source `json:"policies,omitempty"`
	// Config is a configuration file with a GatewayConfig, tested as a whole. Its backends run in this process.
	Config string `json:"config,omitempty"`
	// Mutator is the content of a MutatorConfig without apiVersion, kind, listen and admin. What it serves is
	// asked about every request.
	Mutator *mutatorsvc.Config `json:"mutator,omitempty"`
	// Validator is the same of a ValidatorConfig.
	Validator *validatorsvc.Config `json:"validator,omitempty"`
	// Objects are the state of the cluster: files, folders or objects.
	Objects []Source `json:"objects,omitempty"`
	// Cases are the requests, each with what shall come of it.
	Cases []Case `json:"cases"`
}

// Case is one request, and what shall come of it.
type Case struct {
	// Name is unique in the file.
	Name string `json:"name"`
	// Object is the object that is requested.
	Object *Source `json:"object,omitempty"`
	// OldObject is the object as it was. With it the request is an UPDATE; without Object, a DELETE.
	OldObject *Source `json:"oldObject,omitempty"`
	// Operation is CREATE, UPDATE, DELETE or CONNECT. Default: as the objects say.
	Operation string `json:"operation,omitempty"`
	// Subresource is such as status, scale, resize or ephemeralcontainers.
	Subresource string `json:"subresource,omitempty"`
	// Resource is RESOURCE.VERSION.GROUP where the object does not say it: a Scale may be that of many.
	Resource string `json:"resource,omitempty"`
	// Namespace is the object's. Default: what it says, or else "default".
	Namespace string `json:"namespace,omitempty"`
	// DryRun says that the change will be discarded.
	DryRun bool `json:"dryRun,omitempty"`
	// User is who asks.
	User User `json:"user,omitzero"`
	// Policies are put beside those of the test, files or objects. One of the same kind, namespace and name takes
	// the other's place.
	Policies []Source `json:"policies,omitempty"`
	// Objects are put beside those of the test, in the same way.
	Objects []Source `json:"objects,omitempty"`
	// Expect is what shall come of it.
	Expect Expect `json:"expect,omitzero"`
}

// User is who asks. Everybody is also in the groups that kube-apiserver adds.
type User struct {
	// Username is the name. Default: kubernetes-admin.
	Username string `json:"username,omitempty"`
	// UID is the user's uid.
	UID string `json:"uid,omitempty"`
	// Groups are the user's groups, without those that kube-apiserver adds.
	Groups []string `json:"groups,omitempty"`
	// Extra is what else is known of the user.
	Extra map[string][]string `json:"extra,omitempty"`
}

// Expect is what shall come of a request. Exactly one of Allowed and Error is set; what else is absent is not
// looked at. A text of a denial or warning is the whole of it or its end after ": ", since policies and the gate
// say in front of it who speaks.
type Expect struct {
	// Allowed is the verdict.
	Allowed *bool `json:"allowed,omitempty"`
	// Error says that there is no verdict, because a required backend failed; its text contains this.
	Error *string `json:"error,omitempty"`
	// Message is the text of the only denial.
	Message string `json:"message,omitempty"`
	// Messages are the texts of exactly the denials, in any order.
	Messages []string `json:"messages,omitempty"`
	// Code is the HTTP status of the denial.
	Code int32 `json:"code,omitempty"`
	// Reason is the reason of the denial, such as Invalid or Forbidden.
	Reason string `json:"reason,omitempty"`
	// Warnings are exactly the warnings, in any order. Empty: there are none. Nil: they are not looked at.
	Warnings []string `json:"warnings,omitempty"`
	// AuditAnnotations are annotations that are there, among others: under the gate's whole key, or as the policy
	// has it, without the backend's name in front.
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
	// Patch is exactly the JSON Patch. Empty: nothing changes. Nil: it is not looked at.
	Patch []Operation `json:"patch,omitempty"`
	// Fields are parts of the object as it comes out, by their JSON pointers (RFC 6901). Compared by value; null:
	// there is nothing, or a null. Other parts are not looked at.
	Fields map[string]any `json:"fields,omitempty"`
	// Object is the object as it comes out: a golden file, or the object itself. Compared by value.
	Object *Source `json:"object,omitempty"`
}

// Operation is an operation of a JSON Patch (RFC 6902).
type Operation struct {
	// Op is add, remove, replace, move, copy or test.
	Op string `json:"op"`
	// Path is the JSON pointer of what is changed.
	Path string `json:"path"`
	// From is the JSON pointer of what is moved or copied.
	From string `json:"from,omitempty"`
	// Value is what is added or tested.
	Value any `json:"value,omitempty"`
}

// Source is the name of a file or folder, seen from the test file, or an object.
type Source struct {
	// Path is the file or folder; empty when the object itself is there.
	Path string
}

// UnmarshalJSON reads a string or a mapping. The content of a mapping is not kept: it is taken from the document
// with its lines and the text of its numbers.
func (s *Source) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '{':
		s.Path = ""
		return nil
	case '"':
		if err := json.Unmarshal(data, &s.Path); err != nil {
			return err
		}
		if s.Path == "" {
			return errors.New("an empty name of a file")
		}
		return nil
	default:
		return errors.New("neither a name of a file nor an object")
	}
}
