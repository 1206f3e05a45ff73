package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// The versions of AdmissionReview that the gate reads and answers in.
const (
	V1      = "admission.k8s.io/v1"
	V1beta1 = "admission.k8s.io/v1beta1"
)

const kind = "AdmissionReview"

// A review as it is on the wire. Tags match case-sensitively; members the gate does not know are skipped.
type review struct {
	Kind       string   `json:"kind"`
	APIVersion string   `json:"apiVersion"`
	Request    *request `json:"request"`
}

type request struct {
	UID                string               `json:"uid"`
	Kind               groupVersionKind     `json:"kind"`
	Resource           groupVersionResource `json:"resource"`
	SubResource        string               `json:"subResource"`
	RequestKind        groupVersionKind     `json:"requestKind"`
	RequestResource    groupVersionResource `json:"requestResource"`
	RequestSubResource string               `json:"requestSubResource"`
	Name               string               `json:"name"`
	Namespace          string               `json:"namespace"`
	Operation          string               `json:"operation"`
	UserInfo           userInfo             `json:"userInfo"`
	Object             jsontext.Value       `json:"object"`
	OldObject          jsontext.Value       `json:"oldObject"`
	DryRun             bool                 `json:"dryRun"`
	Options            jsontext.Value       `json:"options"`
}

type groupVersionKind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

type groupVersionResource struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
}

type userInfo struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

// decodeOptions admit what kube-apiserver may have in an object: raw parts such as a
// ControllerRevision's data arrive as their author wrote them, duplicate members and broken UTF-8
// included.
var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// DecodeReview reads one AdmissionReview and returns its apiVersion and request. The request's object,
// oldObject and options hold exactly the bytes that came, or nothing where JSON null or no member came.
// The error says what is wrong with the review in words for the person who sent it.
func DecodeReview(data []byte) (apiVersion string, req *admissionv1.AdmissionRequest, err error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return "", nil, errors.New("the body is empty; an AdmissionReview as JSON is expected")
	}
	var in review
	if err := json.Unmarshal(data, &in, decodeOptions); err != nil {
		return "", nil, fmt.Errorf("the body is not an AdmissionReview: %s", describe(err))
	}
	switch {
	case in.Kind != kind:
		return "", nil, fmt.Errorf("kind is %s, expected %q", quote(in.Kind), kind)
	case in.APIVersion != V1 && in.APIVersion != V1beta1:
		return "", nil, fmt.Errorf("apiVersion is %s, expected %q or %q", quote(in.APIVersion), V1, V1beta1)
	case in.Request == nil:
		return "", nil, errors.New("the AdmissionReview has no request")
	case in.Request.UID == "":
		return "", nil, errors.New("request.uid is empty, so no answer could be told from another")
	}
	req, err = in.Request.proto()
	if err != nil {
		return "", nil, err
	}
	return in.APIVersion, req, nil
}

// describe drops io errors from the chain: grpc-gateway takes a decoder's io.EOF for an absent body,
// which a cut-off review must not pass for.
func describe(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return "it ends too early"
	}
	return short(err.Error(), maxDescription)
}

// What an error quotes of a review came from outside, and may be as large as the review.
const (
	maxQuoted      = 100 // bytes of one value
	maxDescription = 400 // bytes of what the JSON library says, which names members on the way to the mistake
)

func quote(s string) string { return strconv.Quote(short(s, maxQuoted)) }

func short(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

func (r *request) proto() (*admissionv1.AdmissionRequest, error) {
	operation, ok := operations[r.Operation]
	if !ok {
		return nil, fmt.Errorf("request.operation is %s, expected CREATE, UPDATE, DELETE or CONNECT", quote(r.Operation))
	}
	return &admissionv1.AdmissionRequest{
		Uid:                r.UID,
		Kind:               r.Kind.proto(),
		Resource:           r.Resource.proto(),
		SubResource:        r.SubResource,
		RequestKind:        r.RequestKind.proto(),
		RequestResource:    r.RequestResource.proto(),
		RequestSubResource: r.RequestSubResource,
		Name:               r.Name,
		Namespace:          r.Namespace,
		Operation:          operation,
		UserInfo:           r.UserInfo.proto(),
		Object:             raw(r.Object),
		OldObject:          raw(r.OldObject),
		DryRun:             r.DryRun,
		Options:            raw(r.Options),
	}, nil
}

// raw is the bytes of a member that is there; null says the same as nothing in all three of them.
func raw(v jsontext.Value) []byte {
	if len(v) == 0 || v.Kind() == 'n' {
		return nil
	}
	return v
}

func (k groupVersionKind) proto() *admissionv1.GroupVersionKind {
	return &admissionv1.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

func (r groupVersionResource) proto() *admissionv1.GroupVersionResource {
	return &admissionv1.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Resource}
}

func (u userInfo) proto() *admissionv1.UserInfo {
	out := &admissionv1.UserInfo{Username: u.Username, Uid: u.UID, Groups: u.Groups}
	if len(u.Extra) > 0 {
		out.Extra = make(map[string]*admissionv1.ExtraValue, len(u.Extra))
		for key, values := range u.Extra {
			out.Extra[key] = &admissionv1.ExtraValue{Values: values}
		}
	}
	return out
}

var operations = map[string]admissionv1.Operation{
	"CREATE":  admissionv1.Operation_OPERATION_CREATE,
	"UPDATE":  admissionv1.Operation_OPERATION_UPDATE,
	"DELETE":  admissionv1.Operation_OPERATION_DELETE,
	"CONNECT": admissionv1.Operation_OPERATION_CONNECT,
}
