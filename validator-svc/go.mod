module github.com/gatefold/gatefold/validator-svc

go 1.26.0

require (
	github.com/gatefold/gatefold/proto v0.0.0
	github.com/gatefold/gatefold/sdk v0.0.0
)

replace (
	github.com/gatefold/gatefold/proto => ../proto
	github.com/gatefold/gatefold/sdk => ../sdk
)
