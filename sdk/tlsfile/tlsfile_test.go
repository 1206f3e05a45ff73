package tlsfile_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatefold/gatefold/sdk/tlsfile"
	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const interval = 5 * time.Millisecond

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// serverFiles writes a certificate for "gate" and the authority of clients, and names them.
func serverFiles(tb testing.TB, servers, clients *throwaway.CA) tlsfile.ServerConfig {
	tb.Helper()
	dir := tb.TempDir()
	pair := must(servers.Server("gate", "127.0.0.1"))(tb)
	cert, key, err := pair.Write(dir, "server")
	if err != nil {
		tb.Fatal(err)
	}
	return tlsfile.ServerConfig{
		CertFile: cert, KeyFile: key, ClientCAFile: must(clients.Write(dir, "clients"))(tb), Interval: interval,
	}
}

// handshake joins the two in memory and returns what each side made of it.
func handshake(tb testing.TB, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	tb.Helper()
	// Buffered, unlike net.Pipe: when both sides give up, both send an alert.
	listener := bufconn.Listen(1 << 16)
	defer listener.Close()

	failed := make(chan error, 1)
	go func() {
		a, err := listener.Accept()
		if err != nil {
			failed <- err
			return
		}
		conn := tls.Server(a, server)
		err = conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("k"))
		}
		a.Close() // the client may be reading
		failed <- err
	}()
	b := must(listener.Dial())(tb) // waits for Accept
	defer b.Close()
	conn := tls.Client(b, client)
	clientErr = conn.Handshake()
	if clientErr == nil {
		// TLS 1.3: a client learns that it was refused when it reads.
		_, clientErr = conn.Read(make([]byte, 1))
	}
	b.Close()
	return conn.ConnectionState(), <-failed, clientErr
}

func TestServerChecksItsClients(t *testing.T) {
	t.Parallel()
	servers, ours, theirs := must(throwaway.New("servers"))(t), must(throwaway.New("ours"))(t), must(throwaway.New("theirs"))(t)
	cases := map[string]struct {
		issuer   *throwaway.CA // of the client's certificate; nil: it has none
		subjects []string
		maxTLS   uint16
		want     string // part of the server's error; empty: let in
	}{
		"our client is let in":                    {issuer: ours},
		"a client without certificate is refused": {want: "didn't provide a certificate"},
		"a stranger's authority is refused":       {issuer: theirs, want: "unknown authority"},
		"a named subject is let in":               {issuer: ours, subjects: []string{"other", "alice"}},
		"another subject is refused":              {issuer: ours, subjects: []string{"bob"}, want: `"alice"] is not among the subjects`},
		"a part of a subject is refused":          {issuer: ours, subjects: []string{"alic"}, want: "is not among the subjects"},
		"TLS 1.1 is refused":                      {issuer: ours, maxTLS: tls.VersionTLS11, want: "unsupported version"},
		"TLS 1.2 is let in":                       {issuer: ours, maxTLS: tls.VersionTLS12},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := serverFiles(t, servers, ours)
			cfg.Subjects = tc.subjects
			server := must(tlsfile.NewServer(cfg))(t)
			client := &tls.Config{RootCAs: servers.Pool(), ServerName: "gate", MaxVersion: tc.maxTLS, MinVersion: tls.VersionTLS10}
			if tc.issuer != nil {
				pair := must(must(tc.issuer.Client("alice"))(t).TLS())(t)
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			state, serverErr, clientErr := handshake(t, server.Config(), client)
			if tc.want == "" {
				if serverErr != nil || clientErr != nil {
					t.Fatalf("server: %v; client: %v", serverErr, clientErr)
				}
				if state.DidResume {
					t.Error("the session was resumed")
				}
				return
			}
			if clientErr == nil {
				t.Error("the client was let in")
			}
			if serverErr == nil || !strings.Contains(serverErr.Error(), tc.want) {
				t.Errorf("server: got %v, want %q", serverErr, tc.want)
			}
		})
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	ca := must(throwaway.New("ca"))(t)
	good := serverFiles(t, ca, ca)
	other := serverFiles(t, ca, ca)
	cases := map[string]struct {
		change func(*tlsfile.ServerConfig)
		want   string
	}{
		"no certificate":     {func(c *tlsfile.ServerConfig) { c.CertFile += ".gone" }, "no such file"},
		"another's key":      {func(c *tlsfile.ServerConfig) { c.KeyFile = other.KeyFile }, "private key does not match"},
		"authority not PEM":  {func(c *tlsfile.ServerConfig) { c.ClientCAFile = c.KeyFile }, "holds no PEM certificate"},
		"subjects of nobody": {func(c *tlsfile.ServerConfig) { c.ClientCAFile, c.Subjects = "", []string{"a"} }, "would check nothing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			tc.change(&cfg)
			if _, err := tlsfile.NewServer(cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := tlsfile.NewClient(tlsfile.ClientConfig{CertFile: good.CertFile}); err == nil {
		t.Error("a client's certificate without key was taken")
	}
	if _, err := tlsfile.NewClient(tlsfile.ClientConfig{CA: []byte("x")}); err == nil {
		t.Error("an authority that is not PEM was taken")
	}
}

func TestClientAuthoritiesWithoutAFile(t *testing.T) {
	t.Parallel()
	ca, other := must(throwaway.New("ca"))(t), must(throwaway.New("other"))(t)
	if got := must(tlsfile.NewClient(tlsfile.ClientConfig{CA: ca.PEM()}))(t).Config().RootCAs; !got.Equal(ca.Pool()) {
		t.Error("the authorities that were given are not trusted, or others are")
	}
	file := must(other.Write(t.TempDir(), "ca"))(t)
	if got := must(tlsfile.NewClient(tlsfile.ClientConfig{CA: ca.PEM(), CAFile: file}))(t).Config().RootCAs; !got.Equal(other.Pool()) {
		t.Error("the file does not go before the authorities that were given")
	}
	if got := must(tlsfile.NewClient(tlsfile.ClientConfig{}))(t).Config().RootCAs; got != nil {
		t.Error("without either, the system's authorities are not taken")
	}
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}
func (b *syncBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }

func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(interval) {
		if holds() {
			return
		}
	}
	tb.Fatalf("not within 10 s: %s", what)
}

func TestServerFollowsItsFiles(t *testing.T) {
	t.Parallel()
	before, after := must(throwaway.New("before"))(t), must(throwaway.New("after"))(t)
	var log syncBuffer
	cfg := serverFiles(t, before, before)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	server := must(tlsfile.NewServer(cfg))(t)
	config := server.Config() // taken once, as a listener does
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	letIn := func(ca *throwaway.CA) bool {
		pair := must(must(ca.Client("alice"))(t).TLS())(t)
		_, serverErr, clientErr := handshake(t, config,
			&tls.Config{RootCAs: ca.Pool(), ServerName: "gate", Certificates: []tls.Certificate{pair}})
		return serverErr == nil && clientErr == nil
	}
	if !letIn(before) || letIn(after) {
		t.Fatal("before the change, only the first authority counts")
	}

	// A bad file changes nothing, and is said once.
	write(t, cfg.CertFile, []byte("half a certif"))
	eventually(t, "the bad file is logged", func() bool { return strings.Contains(log.String(), "keeping the last good ones") })
	if !letIn(before) {
		t.Fatal("a bad file took the good one's place")
	}

	// Certificate, key and authority, replaced in the way of a mounted Secret's files.
	fresh := serverFiles(t, after, after)
	for from, to := range map[string]string{
		fresh.CertFile: cfg.CertFile, fresh.KeyFile: cfg.KeyFile, fresh.ClientCAFile: cfg.ClientCAFile,
	} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the new files are served", func() bool { return letIn(after) })
	if letIn(before) {
		t.Error("the old authority is still let in")
	}
	if n := strings.Count(log.String(), "failed to find any PEM data in certificate input"); n != 1 {
		t.Errorf("the bad file was logged %d times:\n%s", n, log.String())
	}
}

func write(tb testing.TB, file string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestClientFollowsItsFiles(t *testing.T) {
	t.Parallel()
	before, after := must(throwaway.New("before"))(t), must(throwaway.New("after"))(t)
	dir := t.TempDir()
	caFile := must(before.Write(dir, "ca"))(t)
	client := must(tlsfile.NewClient(tlsfile.ClientConfig{CAFile: caFile, Interval: interval}))(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	pair := must(must(after.Server("127.0.0.1"))(t).TLS())(t)
	listener := must(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}))(t)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	credentials := client.Credentials()
	trusts := func() bool {
		// By IP address: the name that is checked never travels in the handshake.
		conn, err := client.DialTLS(ctx, "tcp", listener.Addr().String(), "h2")
		if err != nil {
			return false
		}
		defer conn.Close()
		raw := must(net.Dial("tcp", listener.Addr().String()))(t)
		defer raw.Close()
		_, _, err = credentials.ClientHandshake(ctx, listener.Addr().String(), raw)
		if err != nil {
			t.Errorf("DialTLS trusts the server, Credentials do not: %v", err)
		}
		return true
	}
	if trusts() {
		t.Fatal("a server of another authority was trusted")
	}
	write(t, caFile, after.PEM())
	eventually(t, "the new authority is trusted", trusts)
}

func TestThrowawayFiles(t *testing.T) {
	t.Parallel()
	ca := must(throwaway.New("ca"))(t)
	_, keyFile, err := must(ca.Server("gate"))(t).Write(t.TempDir(), "server")
	if err != nil {
		t.Fatal(err)
	}
	info := must(os.Stat(keyFile))(t)
	if info.Mode().Perm() != 0o600 || filepath.Base(keyFile) != "server.key" {
		t.Errorf("key file %s has mode %v", keyFile, info.Mode())
	}
	if _, err := ca.Server(); err == nil {
		t.Error("a server without name got a certificate")
	}
	// A client's certificate must not pass for a server's.
	leaf := must(x509.ParseCertificate(must(must(ca.Client("alice"))(t).TLS())(t).Certificate[0]))(t)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool()}); err == nil {
		t.Error("a client's certificate verified for a server's use")
	}
}
