// Package e2e holds the end-to-end tests: real gate, mutator and validator processes before a real
// kube-apiserver and etcd, looked at as a cluster's users see them. `make test` runs them; they need the
// control plane that `make controlplane` builds.
package e2e
