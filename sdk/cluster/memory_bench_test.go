package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/gatefold/gatefold/sdk/cluster"
)

// fillFrom is a variable of the environment. It makes the test binary the process that is measured, and names
// its kubeconfig.
const fillFrom = "GATEFOLD_TEST_FILL_FROM"

// footprint is what a process says of itself, in MB unless it says otherwise.
type footprint struct {
	Accounts, Roles int
	Seconds         float64 // until it was ready
	Idle, File      float64 // resident once it was ready; of which pages of files, of which most are its program
	Peak            float64 // most ever resident until then
	Heap            float64 // live
	Busy            float64 // resident after some work
}

// BenchmarkServiceAccounts50k tells what it takes a process to keep 50,000 ServiceAccounts, of which a fifth
// have a role: what is resident, from start to end, of a process that does only this. The last number is that
// after garbage as of three thousand decisions, a thousand a second: what Go lets the heap grow to then is five
// times what is live, as sdk/program asks for, unless GOGC or GOMEMLIMIT is set in the environment.
func BenchmarkServiceAccounts50k(b *testing.B) {
	const count = 50_000
	for _, how := range []string{"streamed", "listed"} {
		b.Run(how, func(b *testing.B) {
			_, url := startApiserver(b, count, how == "streamed")
			config := kubeconfig(b, url)
			for b.Loop() {
				child := exec.CommandContext(b.Context(), os.Args[0])
				child.Env = append(os.Environ(), fillFrom+"="+config)
				child.Stderr = os.Stderr
				out, err := child.Output()
				if err != nil {
					b.Fatal(err)
				}
				var f footprint
				if err := json.Unmarshal(out, &f); err != nil {
					b.Fatal(err)
				}
				if f.Accounts != count || f.Roles != count/5 {
					b.Fatalf("kept: %+v", f)
				}
				b.ReportMetric(f.Idle, "idle-MB")
				b.ReportMetric(f.File, "idle-file-MB")
				b.ReportMetric(f.Peak, "peak-MB")
				b.ReportMetric(f.Busy, "busy-MB")
				b.ReportMetric(f.Heap, "heap-MB")
				b.ReportMetric(f.Seconds, "s-until-ready")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// fill keeps the ServiceAccounts of a cluster for a while and says on standard output what that took.
func fill(kubeconfig string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // as sdk/program does
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	const prefix = "eks.amazonaws.com/"
	c, err := cluster.Source{Kubeconfig: kubeconfig}.Open(cluster.Options{
		Watch:       []cluster.Resource{cluster.ServiceAccounts},
		Annotations: func(key string) bool { return strings.HasPrefix(key, prefix) },
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	start := time.Now()
	go func() { done <- c.Run(ctx) }()
	for c.Ready(ctx) != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(10 * time.Millisecond)
	}
	f := footprint{Seconds: time.Since(start).Seconds()}
	time.Sleep(time.Second)
	f.Idle, f.File, f.Peak = resident("VmRSS"), resident("RssFile"), resident("VmHWM")

	var garbage []byte
	for range 3000 {
		for range 100 {
			garbage = make([]byte, 1<<10)
		}
		time.Sleep(time.Millisecond)
	}
	f.Busy = resident("VmRSS")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.Heap = float64(m.HeapAlloc-uint64(len(garbage))) / 1e6

	accounts, err := c.ServiceAccounts.List(labels.Everything())
	if err != nil {
		return err
	}
	f.Accounts = len(accounts)
	for _, sa := range accounts {
		if sa.Annotations[prefix+"role-arn"] != "" {
			f.Roles++
		}
	}
	cancel()
	if err := <-done; err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// resident returns one of the sizes in /proc/self/status; 0 where there is no such file.
func resident(name string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), name+":")
	var kB float64
	if _, err := fmt.Sscanf(after, "%f kB", &kB); err != nil {
		return 0
	}
	return kB * 1024 / 1e6
}
