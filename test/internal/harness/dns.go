package harness

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a name server for UDP that knows the IPv4 addresses of a few names, and nothing else.
type DNS struct {
	// Address is host:port.
	Address string

	conn  net.PacketConn
	all   sync.WaitGroup
	mu    sync.Mutex
	names map[string][]netip.Addr
}

// StartDNS listens on a free loopback port.
func StartDNS(ctx context.Context) (*DNS, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a name server: %w", err)
	}
	d := &DNS{Address: conn.LocalAddr().String(), conn: conn, names: map[string][]netip.Addr{}}
	d.all.Go(d.serve)
	return d, nil
}

// Set makes addresses those of name from the next question on; without any the name does not exist.
func (d *DNS) Set(name string, addresses ...netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[strings.TrimSuffix(name, ".")] = addresses
}

// Stop answers no more questions.
func (d *DNS) Stop() {
	_ = d.conn.Close()
	d.all.Wait()
}

func (d *DNS) serve() {
	question := make([]byte, 64<<10)
	for {
		n, from, err := d.conn.ReadFrom(question)
		if err != nil {
			return // closed
		}
		if answer, err := d.answer(question[:n]); err == nil {
			_, _ = d.conn.WriteTo(answer, from) // who is not answered asks again
		}
	}
}

func (d *DNS) answer(packet []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil {
		return nil, err
	}
	question, err := p.Question()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	addresses := d.names[strings.TrimSuffix(question.Name.String(), ".")]
	d.mu.Unlock()
	header = dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired}
	if len(addresses) == 0 {
		header.RCode = dnsmessage.RCodeNameError
	}
	message := dnsmessage.Message{Header: header, Questions: []dnsmessage.Question{question}}
	if question.Type == dnsmessage.TypeA {
		for _, address := range addresses {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: address.As4()},
			})
		}
	}
	return message.Pack()
}
