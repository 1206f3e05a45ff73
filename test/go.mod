module github.com/gatefold/gatefold/test

go 1.26.0

require (
	github.com/gatefold/gatefold/proto v0.0.0
	github.com/gatefold/gatefold/sdk v0.0.0
	github.com/gatefold/gatefold/gateway v0.0.0
	github.com/gatefold/gatefold/mutator-svc v0.0.0
	github.com/gatefold/gatefold/validator-svc v0.0.0
	github.com/gatefold/gatefold/cli v0.0.0
)

replace (
	github.com/gatefold/gatefold/proto => ../proto
	github.com/gatefold/gatefold/sdk => ../sdk
	github.com/gatefold/gatefold/gateway => ../gateway
	github.com/gatefold/gatefold/mutator-svc => ../mutator-svc
	github.com/gatefold/gatefold/validator-svc => ../validator-svc
	github.com/gatefold/gatefold/cli => ../cli
)
