package outcome

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestTable holds the table to what kube-apiserver makes of answers: a failure must never look like an
// answer, and only what is worth another try may ask for one.
func TestTable(t *testing.T) {
	for cause, r := range table {
		if r.code == codes.OK || r.http < 400 {
			t.Errorf("%s is answered %s and HTTP %d, which is no failure", cause, r.code, r.http)
		}
		if r.again != (r.http == http.StatusServiceUnavailable) {
			t.Errorf("%s: Retry-After goes with 503 and nothing else", cause)
		}
		if got := Of(fmt.Errorf("wrapped: %w", New(cause, errors.New("x")))); got != cause {
			t.Errorf("%s is taken for %s", cause, got)
		}
	}
}

func TestOf(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want Cause
	}{
		"cancelled":                  {context.Canceled, Canceled},
		"out of time":                {fmt.Errorf("x: %w", context.DeadlineExceeded), Timeout},
		"what grpc-gateway refuses":  {status.Error(codes.InvalidArgument, "x"), BadReview},
		"what nobody has thought of": {errors.New("x"), Internal},
		"another status":             {status.Error(codes.DataLoss, "x"), Internal},
	} {
		if got := Of(test.err); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
