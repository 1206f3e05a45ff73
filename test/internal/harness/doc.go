// Package harness runs the system as its users do, for tests to look at from outside: a real
// kube-apiserver and etcd, the gate and its services as processes of their own with mutual TLS
// between them, and an OTLP endpoint that receives everybody's spans. Everything listens on loopback.
package harness
