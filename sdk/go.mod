module github.com/gatefold/gatefold/sdk

go 1.26.0

require (
	github.com/gatefold/gatefold/proto v0.0.0
	sigs.k8s.io/json v0.0.0-20260909141634-11ed52e25bc5
)

require (
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261005182115-fad411399dd8 // indirect
	google.golang.org/grpc v1.85.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/gatefold/gatefold/proto => ../proto
