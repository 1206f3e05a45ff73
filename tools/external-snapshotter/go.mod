// The CustomResourceDefinitions that the end-to-end tests install: they come in the Go module. Outside go.work, so
// that its dependencies never raise the product's. Nothing of it is imported, and go mod tidy would take it out.
module github.com/gatefold/gatefold/tools/external-snapshotter

go 1.26.0

require github.com/kubernetes-csi/external-snapshotter/client/v8 v8.7.0
