package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Balancer stands before the replicas of a program as a Service does: new connections go to the replica
// that is ready, open ones stay where they are.
type Balancer struct {
	// Address is host:port.
	Address string

	listener net.Listener
	target   atomic.Pointer[string]
	all      sync.WaitGroup
}

// StartBalancer sends connections to target until told otherwise.
func StartBalancer(ctx context.Context, target string) (*Balancer, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a balancer: %w", err)
	}
	b := &Balancer{Address: listener.Addr().String(), listener: listener}
	b.Switch(target)
	b.all.Go(b.accept)
	return b, nil
}

// Switch sends new connections to target.
func (b *Balancer) Switch(target string) { b.target.Store(&target) }

// Stop accepts no more connections and waits for the open ones to end.
func (b *Balancer) Stop() {
	_ = b.listener.Close()
	b.all.Wait()
}

func (b *Balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return // closed
		}
		b.all.Go(func() { forward(client, *b.target.Load()) })
	}
}

// forward joins client with target until either side ends.
func forward(client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", target)
	if err != nil {
		return // the client sees its connection closed, as from a node that refuses it
	}
	defer func() { _ = server.Close() }()
	ended := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		ended <- struct{}{}
	}
	go pipe(server, client)
	go pipe(client, server)
	<-ended
}
