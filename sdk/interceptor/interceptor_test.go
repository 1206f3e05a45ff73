package interceptor_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatefold/gatefold/sdk/interceptor"
)

func TestDeadline(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		left time.Duration // 0: the caller set no deadline
		want time.Duration // what the handler has; 0: it is not called
	}{
		"no deadline is bounded":             {left: 0, want: 30 * time.Second},
		"some is kept back for the way back": {left: 2 * time.Second, want: 2*time.Second - 20*time.Millisecond},
		"just enough":                        {left: 25 * time.Millisecond, want: 5 * time.Millisecond},
		"too little is refused":              {left: 24 * time.Millisecond},
		"already over is refused":            {left: -time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tc.left != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.left)
					defer cancel()
				}
				var got time.Duration
				_, err := interceptor.Deadline()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/x.Y/Z"},
					func(ctx context.Context, _ any) (any, error) {
						deadline, _ := ctx.Deadline()
						got = time.Until(deadline)
						return nil, nil
					})
				if got != tc.want {
					t.Errorf("the handler has %s, want %s", got, tc.want)
				}
				refused := status.Code(err) == codes.DeadlineExceeded &&
					strings.Contains(status.Convert(err).Message(), "not enough time left for /x.Y/Z")
				if refused != (tc.want == 0) {
					t.Errorf("got error %v", err)
				}
			})
		})
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	intercept := interceptor.Recover(slog.New(slog.NewTextHandler(&log, nil)))
	info := &grpc.UnaryServerInfo{FullMethod: "/x.Y/Z"}

	_, err := intercept(t.Context(), nil, info, func(context.Context, any) (any, error) { panic("secret of the object") })
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("got error %v, want INTERNAL without the panic's text", err)
	}
	for _, want := range []string{"method=/x.Y/Z", "secret of the object", "interceptor_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}

	answer, err := intercept(t.Context(), nil, info, func(context.Context, any) (any, error) { return "fine", nil })
	if answer != "fine" || err != nil {
		t.Errorf("got %v, %v", answer, err)
	}
}
