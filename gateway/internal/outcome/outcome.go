// Package outcome is the one table that says how everything that can come of a review is answered.
//
// A denial is an answer: HTTP 200, allowed false, a reason for a person. A failure is not: it leaves the
// gate as an HTTP error, so that the failurePolicy of the webhook registration decides, and it is never
// spelled "allowed: false". kube-apiserver tells the two apart by nothing but this
// (k8s.io/apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go).
package outcome

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Cause is why a review, or one backend's part in it, failed. It is a label of the failure metrics.
type Cause string

// The causes. The first five are about the review as a whole, the others about one backend; of the last one no
// answer is made.
const (
	BadReview    Cause = "bad_review"    // the sender's mistake: not a review
	TooLarge     Cause = "too_large"     // larger than limits.reviewBytes, and without a uid to refuse it by
	Overloaded   Cause = "overloaded"    // too much in memory already; worth another try
	Canceled     Cause = "canceled"      // nobody waits for the answer any more
	Internal     Cause = "internal"      // the gate's own mistake
	Unreachable  Cause = "unreachable"   // no replica of the backend could be called
	Timeout      Cause = "timeout"       // the backend did not answer in its time
	NoTime       Cause = "no_time"       // the time was used up before the backend's turn
	BackendError Cause = "backend_error" // the backend answered that it failed
	BadPatch     Cause = "bad_patch"     // the patch does not apply, or goes where it may not
	Undecided    Cause = "undecided"     // selectors or conditions could not be evaluated
	Busy         Cause = "busy"          // as many calls were under way as the backend may have
	BreakerOpen  Cause = "breaker_open"  // the backend was not asked, because it did not answer lately

	ShadowsMissed Cause = "shadows_missed" // shadows were not asked about a review, because too many are with them already
)

// row is how a cause is answered: by the gate's gRPC API, and by its HTTPS face.
type row struct {
	code codes.Code
	http int
	// again marks answers that carry "Retry-After: 1", which kube-apiserver obeys, up to ten times
	// (k8s.io/client-go/rest, with_retry.go). Only what another moment or replica may do better has it.
	again bool
}

//	| what came of it                                        | answer                                       |
//	|--------------------------------------------------------|----------------------------------------------|
//	| every required backend answered, none refused          | HTTP 200, allowed: true, the folded patch     |
//	| a backend refused, whatever else failed                | HTTP 200, allowed: false, all the reasons     |
//	| the review is larger than limits.reviewBytes           | HTTP 200, allowed: false, code 413            |
//	| an optional backend (failurePolicy Ignore) failed      | as without it, and a warning                  |
//	| a required backend failed, none refused                | as below, by the first failure                |
//	| wrong path, method, content type                       | HTTP 404, 405, 415; never a redirect          |
//
// And failures, by their cause, are answered like this.
var table = map[Cause]row{
	BadReview:   {codes.InvalidArgument, http.StatusBadRequest, false},
	TooLarge:    {codes.OutOfRange, http.StatusRequestEntityTooLarge, false},
	Overloaded:  {codes.ResourceExhausted, http.StatusServiceUnavailable, true},
	Canceled:    {codes.Canceled, statusClientClosedRequest, false},
	Internal:    {codes.Internal, http.StatusInternalServerError, false},
	Unreachable: {codes.Internal, http.StatusInternalServerError, false},
	// Not 504: kube-apiserver puts words of its own in the place of ours then, and the user would not learn
	// whose time it was (k8s.io/apimachinery/pkg/api/errors, NewGenericServerResponse).
	Timeout:      {codes.DeadlineExceeded, http.StatusInternalServerError, false},
	NoTime:       {codes.DeadlineExceeded, http.StatusInternalServerError, false},
	BackendError: {codes.Internal, http.StatusInternalServerError, false},
	BadPatch:     {codes.Internal, http.StatusInternalServerError, false},
	Undecided:    {codes.Internal, http.StatusInternalServerError, false},
	Busy:         {codes.Internal, http.StatusInternalServerError, false},
	BreakerOpen:  {codes.Internal, http.StatusInternalServerError, false},
}

// statusClientClosedRequest is nginx's word for a client that is gone; it only shows in metrics.
const statusClientClosedRequest = 499

// Error is a failure with its cause. Its text is for the person who wrote the object.
type Error struct {
	Cause Cause
	Err   error
	// OfBackends tells that backends failed, each of which has been recorded already.
	OfBackends bool
}

// New returns a failure.
func New(cause Cause, err error) *Error { return &Error{Cause: cause, Err: err} }

// Error says what failed.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// GRPCStatus is the failure as the gate's gRPC API tells it.
func (e *Error) GRPCStatus() *status.Status { return status.New(table[e.Cause].code, e.Error()) }

// HTTP is how the HTTPS face answers err, which may be any error: its status, and whether the sender
// should come again.
func HTTP(err error) (code int, again bool) {
	r := table[Of(err)]
	return r.http, r.again
}

// Of returns the cause of any error; the gate's own mistake where it carries none.
func Of(err error) Cause {
	var failure *Error
	switch {
	case errors.As(err, &failure):
		return failure.Cause
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	for cause, code := range fromStatus {
		if status.Code(err) == code {
			return cause
		}
	}
	return Internal
}

// OfBackends tells whether err is the failure of backends, each of which has been recorded already.
func OfBackends(err error) bool {
	failure, ok := errors.AsType[*Error](err)
	return ok && failure.OfBackends
}

// Text is err for the person who wrote the object, without gRPC's own wording around it.
func Text(err error) string {
	if failure, ok := errors.AsType[*Error](err); ok {
		return failure.Error()
	}
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

// fromStatus are the failures that grpc-gateway itself reports, as status errors.
var fromStatus = map[Cause]codes.Code{
	BadReview: codes.InvalidArgument,
	Canceled:  codes.Canceled,
}
