package harness

import (
	"fmt"

	"github.com/gatefold/gatefold/sdk/tlsfile/throwaway"
)

// KeyPair names the PEM files of a certificate and its key.
type KeyPair struct {
	// CertFile and KeyFile are their paths.
	CertFile, KeyFile string
}

// PKI is a certificate authority whose certificates are files.
type PKI struct {
	// CAFile is the path of the authority's certificate, CA its PEM.
	CAFile string
	CA     []byte

	dir string
	ca  *throwaway.CA
}

// NewPKI makes an authority that writes into dir.
func NewPKI(dir, name string) (*PKI, error) {
	ca, err := throwaway.New(name)
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", name, err)
	}
	file, err := ca.Write(dir, name)
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", name, err)
	}
	return &PKI{CAFile: file, CA: ca.PEM(), dir: dir, ca: ca}, nil
}

// Server issues a certificate for a server on loopback that is also known as name.
func (p *PKI) Server(name string) (KeyPair, error) {
	pair, err := p.ca.Server(name, "localhost", "127.0.0.1")
	if err != nil {
		return KeyPair{}, fmt.Errorf("certificate of server %s: %w", name, err)
	}
	return p.write(pair, name)
}

// Client issues a certificate for a client called name.
func (p *PKI) Client(name string) (KeyPair, error) {
	pair, err := p.ca.Client(name)
	if err != nil {
		return KeyPair{}, fmt.Errorf("certificate of client %s: %w", name, err)
	}
	return p.write(pair, name+"-client")
}

func (p *PKI) write(pair throwaway.Pair, name string) (KeyPair, error) {
	certFile, keyFile, err := pair.Write(p.dir, name)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{CertFile: certFile, KeyFile: keyFile}, nil
}
