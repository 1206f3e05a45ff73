# Everything a developer or the CI does, one target each: `make help` lists them.
# Needs Go, git and make; `generate`, `lint` and their checks also need npm and a few minutes, once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The modules of go.work, in the order of their imports. Only `test` needs a control plane.
PRODUCT := proto sdk policy gateway mutator-svc validator-svc cli
MODULES := $(PRODUCT) test
packages = $(patsubst %,./%/...,$(1))

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Nobody looks at gRPC's own trace pages; the package behind them makes programs two thirds larger.
BUILDTAGS := -tags grpcnotrace
FUZZTIME ?= 30s
CONFIG ?= examples/gatefold.yaml
RUNFLAGS ?=

# Downloaded and built helpers. Their stamps carry a hash of what they were built from, so that a
# checkout that only touches file times rebuilds nothing.
TMP := .tmp
TOOLS := $(TMP)/tools
hash = $(shell cat $(1) | sha256sum | cut -c1-16)
stamp = $(TOOLS)/.$(1)-$(call hash,tools/$(1)/go.mod tools/$(1)/go.sum)
PROTOC := $(call stamp,protoc)
LINTER := $(call stamp,golangci-lint)
GOLANGCI := $(TOOLS)/golangci-lint

BUF_VERSION := 1.75.0
BUF_HOME := $(TMP)/buf
BUF := $(BUF_HOME)/node_modules/.bin/buf
BUF_STAMP := $(BUF_HOME)/.$(BUF_VERSION)

# The control plane of the end-to-end tests, at the versions that tools/*/go.mod pin.
K8S_VERSION := $(shell awk '$$1 == "k8s.io/kubernetes" { print $$2 }' tools/kube-apiserver/go.mod)
CONTROLPLANE := bin/controlplane/$(K8S_VERSION)
ETCD := $(CONTROLPLANE)/.etcd-$(call hash,tools/etcd/go.mod tools/etcd/go.sum)
APISERVER := $(CONTROLPLANE)/.kube-apiserver-$(call hash,tools/kube-apiserver/go.mod tools/kube-apiserver/go.sum)
K8S_VERSION_PKG := k8s.io/component-base/version
K8S_MINOR := $(word 2,$(subst ., ,$(K8S_VERSION)))
# Without a stamped version the server calls itself v0.0.0-master, which some clients refuse.
K8S_LDFLAGS := -s -w -X $(K8S_VERSION_PKG).gitVersion=$(K8S_VERSION) -X $(K8S_VERSION_PKG).gitMajor=1 \
	-X $(K8S_VERSION_PKG).gitMinor=$(K8S_MINOR) -X $(K8S_VERSION_PKG).gitCommit=module -X $(K8S_VERSION_PKG).gitTreeState=clean

##@ Use

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Start the gate and its services in one process, show what they do, keep serving
	@bin/gatefold run --config $(CONFIG) $(RUNFLAGS)

.PHONY: build
build: ## Build bin/gateway, bin/mutator, bin/validator and bin/gatefold
	@echo "building bin/{gateway,mutator,validator,gatefold} $(VERSION) (two to five minutes the first time, seconds after)"
	@mkdir -p bin
	@go build $(BUILDTAGS) -trimpath -ldflags '$(LDFLAGS)' -o bin/ \
	  ./gateway/cmd/gateway ./mutator-svc/cmd/mutator ./validator-svc/cmd/validator ./cli/cmd/gatefold

.PHONY: cluster
cluster: controlplane ## Run a kube-apiserver and an etcd to try things on, without nodes, until Ctrl-C
	@go run ./test/cluster -dir $(TMP)/cluster

##@ Test

.PHONY: unit
unit: ## Run the quick tests of all modules: no control plane, no race detector
	go test $(call packages,$(PRODUCT))

.PHONY: test
test: controlplane ## Run everything with the race detector, end to end against a real kube-apiserver and etcd
	@echo "testing all modules (about fifteen minutes on two cores the first time, mostly compiling; results are cached)"
	go test -race -timeout 20m $(call packages,$(PRODUCT))
	@# The programs are built and run as processes, which go test's cache does not know of.
	go test -race -timeout 20m -count=1 $(call packages,test)

.PHONY: bench
bench: ## Run the benchmarks, with allocations
	go test -run '^$$' -bench . -benchmem $(call packages,$(MODULES))

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@grep -rl --include='*_test.go' '^func Fuzz' $(MODULES) | while read -r file; do \
	  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$$file" | cut -d' ' -f2 | while read -r target; do \
	    echo "$$target in $$(dirname $$file)"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "./$$(dirname $$file)"; \
	  done; \
	done

.PHONY: controlplane
ifdef KUBEBUILDER_ASSETS
controlplane:
	@echo "using the control plane in KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS)"
else
controlplane: $(ETCD) $(APISERVER) ## Build etcd, kube-apiserver and kubectl, once (KUBEBUILDER_ASSETS: use those instead)
endif

$(ETCD):
	@echo "building etcd from its Go module (about two minutes on two cores, once)"
	@mkdir -p $(CONTROLPLANE)
	@GOWORK=off go -C tools/etcd build -trimpath -ldflags '-s -w' -o ../../$(CONTROLPLANE)/etcd go.etcd.io/etcd/server/v3
	@rm -f $(CONTROLPLANE)/.etcd-* && touch $@

$(APISERVER):
	@echo "building kube-apiserver and kubectl $(K8S_VERSION) from their Go module (about six minutes on two cores, once)"
	@mkdir -p $(CONTROLPLANE)
	@GOWORK=off go -C tools/kube-apiserver build -trimpath -ldflags '$(K8S_LDFLAGS)' -o ../../$(CONTROLPLANE)/ \
	  k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
	@rm -f $(CONTROLPLANE)/.kube-apiserver-* && touch $@

##@ Check

.PHONY: check
check: fmt-check vet lint generate-check docs-check modcheck links-check ## Everything that is checked without running tests

.PHONY: fmt
fmt: $(LINTER) ## Format the Go code
	@$(GOLANGCI) fmt $(call packages,$(MODULES))

.PHONY: fmt-check
fmt-check: $(LINTER)
	@$(GOLANGCI) fmt --diff $(call packages,$(MODULES))

.PHONY: vet
vet: ## Run go vet
	@echo "go vet"
	@go vet $(call packages,$(MODULES))

.PHONY: lint
lint: $(LINTER) $(BUF_STAMP) ## Lint the Go code (.golangci.yml) and the protos (buf.yaml)
	@echo "linting"
	@$(BUF) lint
	@$(GOLANGCI) run --allow-serial-runners $(call packages,$(MODULES))

.PHONY: generate
generate: $(PROTOC) $(BUF_STAMP) ## Generate Go code from the protos
	@$(BUF) format --write && $(BUF) generate

.PHONY: generate-check
generate-check: $(PROTOC) $(BUF_STAMP) ## Check that the generated code is current
	@echo "checking the generated code"
	@$(BUF) format --diff --exit-code
	@rm -rf $(TMP)/generated && $(BUF) generate --output $(TMP)/generated
	@diff -r proto/gen $(TMP)/generated/proto/gen || { echo "proto/gen is not what the protos generate: run make generate"; exit 1; }

.PHONY: docs
docs: ## Generate the pages of docs/reference from the code
	@go run ./test/docs

.PHONY: docs-check
docs-check: ## Check that the pages of docs/reference are current
	@echo "checking the reference pages"
	@go run ./test/docs -check

.PHONY: modcheck
modcheck: ## Check that each module builds by itself, is tidy, and agrees with the others on versions
	@echo "building each module by itself, and checking that it is tidy"
	@failed=; for module in $(MODULES); do \
	  GOWORK=off go -C $$module build ./... && GOWORK=off go -C $$module mod tidy -diff || failed="$$failed $$module"; \
	done; [ -z "$$failed" ] || { echo "not in order:$$failed"; exit 1; }
	@awk '/^\t/ && $$2 ~ /^v/ { if (!($$1 in seen)) { seen[$$1] = $$2; where[$$1] = FILENAME } \
	  else if (seen[$$1] != $$2) { bad = 1; print FILENAME ": " $$1 " " $$2 ", but " where[$$1] " has " seen[$$1] } } \
	  END { if (bad) print "run go work sync, then go mod tidy in each module"; exit bad }' $(MODULES:%=%/go.mod)

.PHONY: links-check
links-check:
	@echo "checking the links between Markdown files"; mkdir -p $(TMP)
	@git ls-files --cached --others --exclude-standard -- '*.md' | while read -r file; do \
	  { grep -oE '\]\([^)# ]+' "$$file" || true; } | cut -c3- | { grep -v '^[a-z]*:' || true; } | while read -r link; do \
	    [ -e "$$(dirname $$file)/$$link" ] || echo "$$file: $$link does not exist"; \
	  done; \
	done | tee $(TMP)/links
	@! [ -s $(TMP)/links ]

##@ Clean

.PHONY: clean
clean: ## Remove what was built, but for the control plane and the tools
	@rm -f bin/gateway bin/mutator bin/validator bin/gatefold
	@rm -rf $(TMP)/generated $(TMP)/links

.PHONY: clean-all
clean-all: ## Remove everything that was built
	@rm -rf bin $(TMP)

# Tools live in modules of their own outside go.work, so that their dependencies never raise the product's.
$(PROTOC):
	@echo "building the protoc plugins (half a minute, once)"
	@mkdir -p $(TOOLS)
	@GOWORK=off GOBIN=$(CURDIR)/$(TOOLS) go -C tools/protoc install tool
	@rm -f $(TOOLS)/.protoc-* && touch $@

$(LINTER):
	@echo "building golangci-lint (about six minutes on two cores, once)"
	@mkdir -p $(TOOLS)
	@GOWORK=off GOBIN=$(CURDIR)/$(TOOLS) go -C tools/golangci-lint install tool
	@rm -f $(TOOLS)/.golangci-lint-* && touch $@

# Without a lock file: it would name the registry it was made with. The version is exact all the same.
$(BUF_STAMP):
	@echo "installing buf $(BUF_VERSION)"
	@mkdir -p $(BUF_HOME)
	@npm install --silent --no-audit --no-fund --no-update-notifier --no-save --no-package-lock \
	  --prefix $(BUF_HOME) @bufbuild/buf@$(BUF_VERSION)
	@rm -f $(BUF_HOME)/.[0-9]* && touch $@
