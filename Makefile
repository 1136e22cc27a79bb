# Every command of the project. Continuous integration calls these and nothing
# else; `make check` is all of it that needs no other machine.

# The oldest Go we promise, in its newest patch release.
OLDEST_GO ?= 1.25.14
# How long each fuzz target searches, and what the benchmarks run.
FUZZTIME ?= 10s
BENCH ?= .
BENCHTIME ?= 1s
# How many rounds the comparison of `make compare` has.
ROUNDS ?= 3
# How many seeds the simulations of `make sim` run.
SEEDS ?= 2000
# How many trades the quickstart puts in `make examples`.
RECORDS ?= 20000

GOLANGCI_VERSION := v2.15.0
GOLANGCI := bin/golangci-lint-$(GOLANGCI_VERSION)
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Nested modules that exist, and their packages apart from the workspace.
NESTED := $(wildcard examples/go.mod bench/go.mod interop/go.mod)

# What `make check` runs, in this order.
CHECKS := fmt vet lint arrows race standalone examples nested oldest

.DEFAULT_GOAL := help
.PHONY: help check checks test $(CHECKS) sim fuzz bench compare packages contract interop interop-full vulncheck

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: $(CHECKS) ## Everything a change has to pass

checks:
	@echo $(CHECKS)

test: ## The tests, as the README says: go test ./...
	go test ./...

fmt: ## Fail on files that gofmt would change
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt -w these:"; echo "$$files"; exit 1; }

vet: ## go vet, examples included
	go vet ./... ./examples/...

lint: $(GOLANGCI) ## golangci-lint with .golangci.yml, built into bin/ at first use
	$(GOLANGCI) run ./... ./examples/...

$(GOLANGCI):
	GOBIN=$(CURDIR)/bin GOWORK=off go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv bin/golangci-lint $@

arrows: ## Import arrows, file ceilings, forbidden calls
	go test ./internal/arrows

race: ## The tests in random order under the race detector
	go test -race -shuffle=on ./...

standalone: ## The tests without go.work, with the library's own dependencies
	GOWORK=off go test ./...

examples: ## The examples' tests, and a small quickstart
	go test ./examples/...
	go run ./examples/quickstart -records $(RECORDS)

nested: ## The nested modules without go.work: build, vet, test
	@set -e; for mod in $(NESTED); do dir=$$(dirname $$mod); \
		test -n "$$(find $$dir -name '*.go' | head -1)" || continue; \
		echo "in $$dir: GOWORK=off go build, vet and test ./..."; \
		(cd $$dir && export GOWORK=off && go build -o /dev/null ./... && go vet ./... && go test ./...); \
	done

oldest: ## The tests with the oldest Go we promise
	GOTOOLCHAIN=go$(OLDEST_GO) go test ./... ./examples/...

sim: ## The simulations of the producer and of fleets, SEEDS (2000) schedules of faults each
	go test ./producer -run '^TestSimulation$$' -sim.seeds $(SEEDS) -timeout 1h
	go test ./consumer -run '^TestSimulation$$' -sim.seeds $(SEEDS) -timeout 3h
	go test ./consumer -run '^TestSimulationOfLatest$$' -sim.seeds $(SEEDS) -timeout 3h
	go test ./lease -run '^TestSimulation$$' -sim.seeds $(SEEDS) -timeout 3h
	go test ./lease -run '^TestSimulationOfPhases$$' -sim.seeds $(SEEDS) -timeout 3h
	go test ./lease/dynamo -run '^TestSimulationOfMigrations$$' -sim.seeds $(SEEDS) -timeout 3h

fuzz: ## Search with every fuzz target for FUZZTIME (10s)
	@set -e; grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do \
		name=$${func#func }; echo "$$(dirname $$file): $$name for $(FUZZTIME)"; \
		(cd $$(dirname $$file) && go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) .); \
	done

bench: packages compare ## Everything below bench/results

compare: ## This library against the KPL, the KCL and others, ROUNDS (3) times in turn; needs Linux, Java 17, Maven
	cd bench && GOWORK=off go run . -rounds $(ROUNDS) -note "$(NOTE)" && GOWORK=off go run . -readme

packages: ## The packages' benchmarks, into bench/results/packages.txt; NOTE="..." goes on top
	@mkdir -p bench/results
	@commit=$$(git describe --always --dirty); { echo "# commit:  $$commit"; \
	   echo "# machine: $$(uname -sm), $$(getconf _NPROCESSORS_ONLN) cores, $$(go env GOVERSION)"; \
	   echo "# command: make packages BENCH=$(BENCH) BENCHTIME=$(BENCHTIME)"; \
	   test -z "$(NOTE)" || echo "# note:    $(NOTE)"; } > bench/results/packages.txt
	@set -e; out=$$(mktemp); trap 'rm -f $$out' EXIT; \
		go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./... > $$out || { cat $$out; exit 1; }; \
		grep -v 'no test files\|^PASS$$' $$out | tee -a bench/results/packages.txt

contract: ## What AWS's services do, asked of ENDPOINT, with a table of answers; FLAGS as in kinesistest/contract
	go test ./kinesistest/contract -count=1 -v -endpoint $(ENDPOINT) $(FLAGS)

interop: ## Beside the KCL and the KPL, and the contract suite against an emulator; needs a JDK, mvn, python3
	cd interop && GOWORK=off go vet -tags java ./...
	cd interop/sidebyside && GOWORK=off go test -tags java -count=1 -timeout 15m
	interop/run ministack

interop-full: ## All of that, into docs/interop.md; needs npm and cargo too, and half an hour
	cd interop/sidebyside && GOWORK=off go test -tags java -count=1 -timeout 120m -at-once 6 -full -report ../../docs/interop.md
	interop/run all

vulncheck: ## Known vulnerabilities in what we import; asks vuln.go.dev
	go run $(GOVULNCHECK) ./...
