package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
)

var errShuttingDown = errors.New("shutting down")

// handler serves the endpoints; ctx is the life of the process, after which it is no longer ready.
func (cfg *Config) handler(ctx context.Context) http.Handler {
	alive := Check{Name: "shutdown", Check: func(context.Context) error {
		if ctx.Err() != nil {
			return errShuttingDown
		}
		return nil
	}}
	mux := http.NewServeMux()
	mux.Handle("GET /livez", endpoint("livez", cfg.Live))
	mux.Handle("GET /readyz", endpoint("readyz", append([]Check{alive}, cfg.Ready...)))
	mux.Handle("GET /version", version(cfg.Version))
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	return mux
}

// endpoint answers as kube-apiserver's health endpoints do: "ok", or the list of checks when one fails or
// ?verbose asks for it.
func endpoint(name string, checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var list strings.Builder
		failed := false
		for _, check := range checks {
			if err := call(r.Context(), check); err != nil {
				failed = true
				fmt.Fprintf(&list, "[-]%s failed: %v\n", check.Name, err)
				continue
			}
			fmt.Fprintf(&list, "[+]%s ok\n", check.Name)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, verbose := r.URL.Query()["verbose"]
		switch {
		case failed:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, "%s%s check failed\n", list.String(), name)
		case verbose:
			fmt.Fprintf(w, "%s%s check passed\n", list.String(), name)
		default:
			_, _ = io.WriteString(w, "ok")
		}
	})
}

func call(ctx context.Context, check Check) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return check.Check(ctx)
}

// version answers with what is running: the module's version and the commit it was built from.
func version(stated string) http.Handler {
	answer := map[string]string{"version": stated, "goVersion": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if stated == "" {
			answer["version"] = info.Main.Version
		}
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" || setting.Key == "vcs.time" || setting.Key == "vcs.modified" {
				answer[strings.TrimPrefix(setting.Key, "vcs.")] = setting.Value
			}
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
}
