package observe

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"

	admissionv1 "github.com/gatefold/gatefold/proto/gen/gatefold/admission/v1"
)

// Verdicts, as metrics, logs and traces write them.
const (
	Allowed = "allowed"
	Denied  = "denied"
	Failed  = "failed"
)

// Operation is the request's operation as the API writes it: "CREATE".
func Operation(req *admissionv1.AdmissionRequest) string {
	return strings.TrimPrefix(req.GetOperation().String(), "OPERATION_")
}

// Resource is the request's resource as kubectl writes it: "deployments.apps/scale".
func Resource(req *admissionv1.AdmissionRequest) string {
	out := req.GetResource().GetResource()
	if group := req.GetResource().GetGroup(); group != "" {
		out += "." + group
	}
	if req.GetSubResource() != "" {
		out += "/" + req.GetSubResource()
	}
	return out
}

// Attributes describe a request on its span. No convention for admission exists yet, so they have a
// namespace of their own; the uid is what kube-apiserver's own span carries as UID.
func Attributes(req *admissionv1.AdmissionRequest) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("gatefold.request.uid", req.GetUid()),
		attribute.String("gatefold.request.operation", Operation(req)),
		attribute.String("gatefold.request.resource", Resource(req)),
		attribute.String("gatefold.request.namespace", req.GetNamespace()),
		attribute.String("gatefold.request.name", req.GetName()),
		attribute.Bool("gatefold.request.dry_run", req.GetDryRun()),
	}
}

// maxArea is how long an Area may be.
const maxArea = 60

// Area is a JSON pointer, or an operation on one, cut down to what there are only so many of: "/metadata/labels",
// "/spec/volumes", "/data". What comes below are indices and keys, of which there is no end and some are secret.
func Area(pointer string) string {
	parts := strings.SplitN(pointer, "/", 4)
	depth := min(len(parts), 2)
	if len(parts) > 2 && (parts[1] == "metadata" || parts[1] == "spec") {
		depth = 3
	}
	area := strings.Join(parts[:depth], "/")
	return strings.ToValidUTF8(area[:min(len(area), maxArea)], "")
}
