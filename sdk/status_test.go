package sdk

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// Libraries often report the end of the call in words of their own.
func TestTheCallsOwnEndComesFirst(t *testing.T) {
	t.Parallel()
	expired, cancelExpired := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelExpired()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	cases := map[string]struct {
		ctx  context.Context
		want codes.Code
	}{
		"out of time": {expired, codes.DeadlineExceeded},
		"cancelled":   {cancelled, codes.Canceled},
		"neither":     {t.Context(), codes.Internal},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := statusOf(tc.ctx, errors.New("client rate limiter Wait: would exceed context deadline"))
			if got.Code() != tc.want || got.Message() != "client rate limiter Wait: would exceed context deadline" {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
}
