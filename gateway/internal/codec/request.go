package codec

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// The beginning of a review as kube-apiserver writes it: everything before its three raw parts, with the
// field order and the omissions of k8s.io/api/admission/v1, which are the same in v1beta1.
type reviewHead struct {
	Kind       string      `json:"kind"`
	APIVersion string      `json:"apiVersion"`
	Request    requestHead `json:"request"`
}

type requestHead struct {
	UID                string               `json:"uid"`
	Kind               groupVersionKind     `json:"kind"`
	Resource           groupVersionResource `json:"resource"`
	SubResource        string               `json:"subResource,omitzero"`
	RequestKind        groupVersionKind     `json:"requestKind,omitzero"`
	RequestResource    groupVersionResource `json:"requestResource,omitzero"`
	RequestSubResource string               `json:"requestSubResource,omitzero"`
	Name               string               `json:"name,omitzero"`
	Namespace          string               `json:"namespace,omitzero"`
	Operation          string               `json:"operation"`
	UserInfo           userInfoHead         `json:"userInfo"`
}

type userInfoHead struct {
	Username string              `json:"username,omitzero"`
	UID      string              `json:"uid,omitzero"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// headOptions escape what encoding/json, with which kube-apiserver writes, escapes.
var headOptions = json.JoinOptions(
	json.Deterministic(true), jsontext.EscapeForHTML(true), jsontext.EscapeForJS(true), jsontext.AllowInvalidUTF8(true),
)

// EncodeRequest writes req as the AdmissionReview of that apiVersion, byte for byte as kube-apiserver
// writes it to a webhook. Object, oldObject and options are the bytes of req, null where it has none. The
// error says which of them is no JSON.
func EncodeRequest(apiVersion string, req *admissionv1.AdmissionRequest) ([]byte, error) {
	var operation string
	for name, op := range operations {
		if op == req.GetOperation() {
			operation = name
		}
	}
	data, err := json.Marshal(reviewHead{Kind: kind, APIVersion: apiVersion, Request: requestHead{
		UID:                req.GetUid(),
		Kind:               kindHead(req.GetKind()),
		Resource:           resourceHead(req.GetResource()),
		SubResource:        req.GetSubResource(),
		RequestKind:        kindHead(req.GetRequestKind()),
		RequestResource:    resourceHead(req.GetRequestResource()),
		RequestSubResource: req.GetRequestSubResource(),
		Name:               req.GetName(),
		Namespace:          req.GetNamespace(),
		Operation:          operation,
		UserInfo:           userHead(req.GetUserInfo()),
	}}, headOptions)
	if err != nil {
		return nil, fmt.Errorf("encoding the AdmissionReview: %w", err)
	}
	// The raw parts are appended, for an encoder would write them anew. That they are JSON, each of them one
	// value, is what keeps an object from adding members to the review that asks about it.
	data = slices.Grow(data[:len(data)-len("}}")], len(req.GetObject())+len(req.GetOldObject())+len(req.GetOptions())+64)
	if data, err = appendPart(data, "object", req.GetObject()); err != nil {
		return nil, err
	}
	if data, err = appendPart(data, "oldObject", req.GetOldObject()); err != nil {
		return nil, err
	}
	data = fmt.Appendf(data, `,"dryRun":%t`, req.GetDryRun())
	if data, err = appendPart(data, "options", req.GetOptions()); err != nil {
		return nil, err
	}
	return append(data, "}}"...), nil
}

func appendPart(data []byte, name string, value []byte) ([]byte, error) {
	if len(value) == 0 {
		value = []byte("null")
	}
	if !jsontext.Value(value).IsValid(decodeOptions) {
		return nil, fmt.Errorf("encoding the AdmissionReview: the request's %s is not JSON", name)
	}
	return append(append(data, `,"`+name+`":`...), value...), nil
}

func kindHead(k *admissionv1.GroupVersionKind) groupVersionKind {
	return groupVersionKind{Group: k.GetGroup(), Version: k.GetVersion(), Kind: k.GetKind()}
}

func resourceHead(r *admissionv1.GroupVersionResource) groupVersionResource {
	return groupVersionResource{Group: r.GetGroup(), Version: r.GetVersion(), Resource: r.GetResource()}
}

func userHead(u *admissionv1.UserInfo) userInfoHead {
	out := userInfoHead{Username: u.GetUsername(), UID: u.GetUid(), Groups: u.GetGroups()}
	if len(u.GetExtra()) > 0 {
		out.Extra = make(map[string][]string, len(u.GetExtra()))
		for key, values := range u.GetExtra() {
			out.Extra[key] = values.GetValues()
		}
	}
	return out
}
