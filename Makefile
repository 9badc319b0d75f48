# Every target is one command that can be typed as well.

GO ?= $(shell command -v go || echo /usr/local/go/bin/go)
export CGO_ENABLED = 0

PREFIX ?= /usr/local
FUZZTIME ?= 10s
BARRAGETIME ?= 10m
COVERAGE ?= 70
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test race bench fuzz barrage lint cross demo natmatrix structure model coverage install clean

build:
	$(GO) build -trimpath -o bin/ ./edge/cmd/edge ./supernode/cmd/supernode

# What runs in namespaces has the machine to itself, a package at a time. Four tests at
# once, since they wait most of the time.
test:
	@.ci/needs
	$(GO) test -count=1 -timeout 30m ./integration/sim $$($(GO) list ./... | grep -v /integration)
	$(GO) test -count=1 -timeout 30m -p 1 -parallel 4 $$($(GO) list ./integration/... | grep -v /sim)

race:
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m ./...

bench: build
	@if [ "$$(uname)" != Linux ]; then echo "not Linux: the benchmark of the whole product in network namespaces is skipped"; \
	elif [ "$$(id -u)" != 0 ]; then echo "not root: the benchmark of the whole product in network namespaces is skipped; 'sudo make bench' runs it"; \
	else set -x; $(GO) run ./integration/bench -bin bin $(BENCH); fi
	@if [ "$$(uname)" = Linux ]; then set -x; $(GO) run ./integration/bench -bin bin -supernode $(SUPERNODEBENCH); fi
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz:
	.ci/fuzz $(FUZZTIME)

barrage:
	.ci/barrage $(BARRAGETIME)

lint:
	$(GO) vet ./...
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not formatted, run gofmt -w on:"; echo "$$out"; exit 1; fi
	$(GO) run $(STATICCHECK) ./...

cross:
	.ci/cross

demo: build
	$(GO) run ./integration/demo -bin bin

natmatrix: build
	$(GO) run ./integration/natmatrix -bin bin $(NATMATRIX)

structure:
	$(GO) run ./integration/structure $(STRUCTURE)

model:
	$(GO) run ./integration/model $(MODEL)

coverage:
	.ci/coverage $(COVERAGE)

install: build
	install -D -m 0755 bin/edge $(DESTDIR)$(PREFIX)/bin/edge
	install -D -m 0755 bin/supernode $(DESTDIR)$(PREFIX)/bin/supernode

clean:
	rm -rf bin
