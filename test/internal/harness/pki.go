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

// PKI is a certificate authority whose certificates are files. It is not safe for concurrent use.
type PKI struct {
	// CAFile is the path of the authority's certificate, CA its PEM.
	CAFile string
	CA     []byte

	dir    string
	ca     *throwaway.CA
	issued map[string]KeyPair
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
	return &PKI{CAFile: file, CA: ca.PEM(), dir: dir, ca: ca, issued: map[string]KeyPair{}}, nil
}

// Server returns the certificate of a server on loopback that is also known as name.
func (p *PKI) Server(name string) (KeyPair, error) {
	return p.once(name, func() (throwaway.Pair, error) { return p.ca.Server(name, "localhost", "127.0.0.1") })
}

// Client returns the certificate of a client called name.
func (p *PKI) Client(name string) (KeyPair, error) {
	return p.once(name+"-client", func() (throwaway.Pair, error) { return p.ca.Client(name) })
}

// once issues a certificate the first time it is asked for. Replacing it later would change it under the
// programs that use it.
func (p *PKI) once(file string, issue func() (throwaway.Pair, error)) (KeyPair, error) {
	if pair, ok := p.issued[file]; ok {
		return pair, nil
	}
	pair, err := issue()
	if err != nil {
		return KeyPair{}, fmt.Errorf("issuing %s: %w", file, err)
	}
	certFile, keyFile, err := pair.Write(p.dir, file)
	if err != nil {
		return KeyPair{}, fmt.Errorf("issuing %s: %w", file, err)
	}
	p.issued[file] = KeyPair{CertFile: certFile, KeyFile: keyFile}
	return p.issued[file], nil
}
