package sdk

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Libraries often report the end of the call in words of their own. That the caller has hung up is nobody's failure.
func TestTheCallsOwnEndComesFirst(t *testing.T) {
	t.Parallel()
	expired, cancelExpired := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelExpired()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	cases := map[string]struct {
		ctx    context.Context
		want   codes.Code
		logged bool
	}{
		"out of time": {expired, codes.DeadlineExceeded, true},
		"cancelled":   {cancelled, codes.Canceled, false},
		"neither":     {t.Context(), codes.Internal, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			c := call{logger: slog.New(slog.NewTextHandler(&log, nil))}
			got := status.Convert(c.failed(tc.ctx, errors.New("client rate limiter Wait: would exceed context deadline")))
			if got.Code() != tc.want || got.Message() != "client rate limiter Wait: would exceed context deadline" {
				t.Errorf("got %v, want %s", got, tc.want)
			}
			if logged := strings.Contains(log.String(), "handler failed"); logged != tc.logged {
				t.Errorf("logged %t: %s", logged, log.String())
			}
		})
	}
}
