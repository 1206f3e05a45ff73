// Package throwaway makes certificate authorities that live as long as one process: for the all-in-one,
// and for tests. The authority's key never leaves memory.
package throwaway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// validity outlasts any process that would use a throwaway authority.
	validity = 365 * 24 * time.Hour
	// skew is how far the clocks of two parties may be apart.
	skew = time.Hour
)

// CA is a certificate authority. It is safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// Pair is a certificate and its key, both PEM.
type Pair struct{ Cert, Key []byte }

// New makes an authority; name is its common name.
func New(name string) (*CA, error) {
	template := newTemplate(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	key, der, err := sign(template, nil)
	if err != nil {
		return nil, fmt.Errorf("throwaway authority %q: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("throwaway authority %q: %w", name, err)
	}
	return &CA{cert: cert, key: key, pem: block("CERTIFICATE", der)}, nil
}

// PEM returns the authority's certificate.
func (ca *CA) PEM() []byte { return ca.pem }

// Pool returns a pool of this authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Server makes a certificate for a server known by hosts: DNS names or IP addresses, at least one.
func (ca *CA) Server(hosts ...string) (Pair, error) {
	if len(hosts) == 0 {
		return Pair{}, fmt.Errorf("throwaway server certificate: no host named")
	}
	template := newTemplate(hosts[0])
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	return ca.issue(template)
}

// Client makes a certificate for a client; subject is its common name.
func (ca *CA) Client(subject string) (Pair, error) {
	template := newTemplate(subject)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return ca.issue(template)
}

// TLS parses the pair.
func (p Pair) TLS() (tls.Certificate, error) { return tls.X509KeyPair(p.Cert, p.Key) }

// Write puts the pair into dir as name.crt and name.key, the key for the owner's eyes only, and returns
// the two paths. Files that are there are replaced.
func (p Pair) Write(dir, name string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if err := os.WriteFile(keyFile, p.Key, 0o600); err != nil {
		return "", "", fmt.Errorf("writing throwaway key: %w", err)
	}
	if err := os.WriteFile(certFile, p.Cert, 0o600); err != nil {
		return "", "", fmt.Errorf("writing throwaway certificate: %w", err)
	}
	return certFile, keyFile, nil
}

// Write puts the authority's certificate into dir as name.crt and returns the path.
func (ca *CA) Write(dir, name string) (string, error) {
	file := filepath.Join(dir, name+".crt")
	if err := os.WriteFile(file, ca.pem, 0o600); err != nil {
		return "", fmt.Errorf("writing throwaway authority: %w", err)
	}
	return file, nil
}

func (ca *CA) issue(template *x509.Certificate) (Pair, error) {
	template.KeyUsage = x509.KeyUsageDigitalSignature
	key, der, err := sign(template, ca)
	if err != nil {
		return Pair{}, fmt.Errorf("throwaway certificate %q: %w", template.Subject.CommonName, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("throwaway key: %w", err)
	}
	return Pair{Cert: block("CERTIFICATE", der), Key: block("PRIVATE KEY", keyDER)}, nil
}

// newTemplate leaves SerialNumber out: x509 then draws a random one.
func newTemplate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew),
		NotAfter:  now.Add(validity),
	}
}

// sign makes a key and a certificate for it, signed by ca, or by itself when ca is nil.
func sign(template *x509.Certificate, ca *CA) (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	return key, der, err
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
