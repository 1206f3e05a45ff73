// Package config reads the configuration of the gate and its services: one multi-document YAML file,
// of which each program takes the document of its own kind. It also holds the parts that the kinds share.
package config

import (
	"net"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// APIVersion is the apiVersion of every document.
const APIVersion = "gatefold.dev/v1alpha1"

// The kinds of documents that may stand together in one file.
const (
	GatewayConfig   = "GatewayConfig"
	MutatorConfig   = "MutatorConfig"
	ValidatorConfig = "ValidatorConfig"
)

// None is the mode that switches a protection off. It must be written, it is never the default.
const None = "None"

// TypeMeta is embedded in each kind.
type TypeMeta struct {
	// APIVersion is always gatefold.dev/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind is GatewayConfig, MutatorConfig or ValidatorConfig.
	Kind string `json:"kind"`
}

// Document is a kind of configuration.
type Document interface {
	// SetDefaults fills what was left out.
	SetDefaults()
	// Validate says everything that is wrong with the document, with the paths of its YAML.
	Validate() field.ErrorList
}

// PathResolver is a Document that names files. Load and Parse call it after SetDefaults and before
// Validate, so that the program sees paths that do not depend on its working directory.
type PathResolver interface {
	// ResolvePaths replaces every path p that the document holds by resolve(p).
	ResolvePaths(resolve func(p string) string)
}

// Listen is where and how a program accepts connections.
type Listen struct {
	// Address is host:port; port 0 takes any free one.
	Address string `json:"address,omitempty"`
	// TLS is the server's certificate. Required in the gate, but for the all-in-one, which makes its own;
	// a service without it is in plain text.
	TLS *TLS `json:"tls,omitempty"`
	// ClientAuth says which clients are let in. Required, but in the all-in-one.
	ClientAuth *ClientAuth `json:"clientAuth,omitempty"`
	// ALPN is the list of protocols that the gate offers for reviews, in order of preference. Default:
	// h2, http/1.1. gRPC is always h2.
	ALPN []string `json:"alpn,omitempty"`
}

// TLS is a certificate and its key, PEM files that are read again when they change.
type TLS struct {
	// CertFile holds the certificate and its intermediates.
	CertFile string `json:"certFile"`
	// KeyFile holds the private key.
	KeyFile string `json:"keyFile"`
}

// ClientAuth says which clients a server lets in: exactly one of Mode and CAFile is set.
type ClientAuth struct {
	// Mode None lets everybody in.
	Mode string `json:"mode,omitempty"`
	// CAFile holds the certificate authorities of clients; every client must present a certificate of one.
	CAFile string `json:"caFile,omitempty"`
	// Subjects are the common names or subject alternative names of which a client's certificate must
	// have one. Empty: any certificate of CAFile will do.
	Subjects []string `json:"subjects,omitempty"`
}

// ClientTLS says how a client makes a connection safe: exactly one of Mode and CAFile is set.
type ClientTLS struct {
	// Mode None connects in plain text.
	Mode string `json:"mode,omitempty"`
	// CAFile holds the certificate authorities that the server's certificate is checked against.
	CAFile string `json:"caFile,omitempty"`
	// CertFile holds the client's own certificate. Absent: it has none.
	CertFile string `json:"certFile,omitempty"`
	// KeyFile holds the private key of CertFile; both are set or neither.
	KeyFile string `json:"keyFile,omitempty"`
	// ServerName is the name the server's certificate must be for. Empty: the host of the endpoint.
	ServerName string `json:"serverName,omitempty"`
}

// Admin is where a program serves its health, metrics and version, in plain text.
type Admin struct {
	// Address is host:port. Empty: no admin server.
	Address string `json:"address,omitempty"`
}

// Validate says what is wrong with l, which stands at path. A missing TLS or Address is not: only the
// program knows whether it can do without.
func (l *Listen) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if l.Address != "" {
		errs = append(errs, validateAddress(l.Address, path.Child("address"))...)
	}
	if l.TLS != nil {
		errs = append(errs, l.TLS.Validate(path.Child("tls"))...)
		if l.ClientAuth == nil {
			errs = append(errs, field.Required(path.Child("clientAuth"),
				"set caFile to the authority of the clients to let in, or mode: None to let everybody in"))
		}
	}
	if l.ClientAuth != nil {
		errs = append(errs, l.ClientAuth.Validate(path.Child("clientAuth"))...)
	}
	for i, protocol := range l.ALPN {
		if protocol != "h2" && protocol != "http/1.1" {
			errs = append(errs, field.NotSupported(path.Child("alpn").Index(i), protocol, []string{"h2", "http/1.1"}))
		}
	}
	return errs
}

// ResolvePaths replaces the paths of l, which may be nil, as PathResolver says.
func (l *Listen) ResolvePaths(resolve func(p string) string) {
	if l == nil {
		return
	}
	if l.TLS != nil {
		l.TLS.CertFile = resolve(l.TLS.CertFile)
		l.TLS.KeyFile = resolve(l.TLS.KeyFile)
	}
	if l.ClientAuth != nil {
		l.ClientAuth.CAFile = resolve(l.ClientAuth.CAFile)
	}
}

// Validate says what is wrong with t, which stands at path.
func (t *TLS) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.CertFile == "" {
		errs = append(errs, field.Required(path.Child("certFile"), "name the PEM file of the server's certificate"))
	}
	if t.KeyFile == "" {
		errs = append(errs, field.Required(path.Child("keyFile"), "name the PEM file of the certificate's private key"))
	}
	return errs
}

// Validate says what is wrong with a, which stands at path.
func (a *ClientAuth) Validate(path *field.Path) field.ErrorList {
	errs := validateMode(a.Mode, a.CAFile, "let everybody in", path)
	if len(a.Subjects) > 0 && a.CAFile == "" {
		errs = append(errs, field.Forbidden(path.Child("subjects"), "subjects are checked in certificates: set caFile too"))
	}
	for i, subject := range a.Subjects {
		if strings.TrimSpace(subject) == "" {
			errs = append(errs, field.Required(path.Child("subjects").Index(i), "an empty name matches nobody: remove it"))
		}
	}
	return errs
}

// Validate says what is wrong with t, which stands at path.
func (t *ClientTLS) Validate(path *field.Path) field.ErrorList {
	errs := validateMode(t.Mode, t.CAFile, "connect in plain text", path)
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		errs = append(errs, field.Required(path.Child("keyFile"), "certFile needs its private key"))
	case t.KeyFile != "" && t.CertFile == "":
		errs = append(errs, field.Required(path.Child("certFile"), "keyFile needs its certificate"))
	}
	if t.Mode == None && (t.CertFile != "" || t.KeyFile != "" || t.ServerName != "") {
		errs = append(errs, field.Forbidden(path.Child("mode"), "certFile, keyFile and serverName mean nothing in plain text: remove them, or set caFile instead of mode"))
	}
	return errs
}

// ResolvePaths replaces the paths of t, which may be nil, as PathResolver says.
func (t *ClientTLS) ResolvePaths(resolve func(p string) string) {
	if t == nil {
		return
	}
	t.CAFile, t.CertFile, t.KeyFile = resolve(t.CAFile), resolve(t.CertFile), resolve(t.KeyFile)
}

// Validate says what is wrong with a, which stands at path.
func (a *Admin) Validate(path *field.Path) field.ErrorList {
	if a.Address == "" {
		return nil
	}
	return validateAddress(a.Address, path.Child("address"))
}

func validateMode(mode, caFile, meaning string, path *field.Path) field.ErrorList {
	switch {
	case mode == "" && caFile == "":
		return field.ErrorList{field.Required(path, "set caFile, or mode: None to "+meaning)}
	case mode != "" && caFile != "":
		return field.ErrorList{field.Forbidden(path.Child("mode"), "caFile is set too: keep one of them")}
	case mode != "" && mode != None:
		return field.ErrorList{field.NotSupported(path.Child("mode"), mode, []string{None})}
	}
	return nil
}

func validateAddress(address string, path *field.Path) field.ErrorList {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return field.ErrorList{field.Invalid(path, address, "write host:port, such as 127.0.0.1:8443 or [::1]:8443")}
	}
	return nil
}
