# Rollcall: run, test, lint, fuzz, bench, clean. GNU make, Go and a C compiler
# are all that is needed; the tools are built from tools/*.mod.

GO       ?= go
ARGS     ?=
FUZZTIME ?= 60s

tool = $(GO) tool -modfile=tools/$(1).mod $(1)

.PHONY: run test lint vuln fuzz bench clean have-go have-cc

# A whole server with generated keys and a known cast, e.g. make run ARGS=--once
run: have-go
	$(GO) run ./cmd/rollcall sandbox $(ARGS)

# Everything that has to pass. The tests come last, so that their closing lines do;
# e2e is a module of its own, and drives a browser; so is a peer of the benchmarks.
# What e2e builds and runs the test cache does not see.
test: have-cc lint vuln
	@tools/need chromium=chromium redis-server=redis-server initdb=postgresql \
		openssl=openssl node=nodejs python3:cryptography=python3-cryptography php=php-cli javac=default-jdk-headless ruby=ruby
	$(GO) test -race -timeout 30m ./...
	cd bench/peers/centrifuge && $(GO) test -race ./...
	cd e2e && $(GO) test -count=1 -race ./...

# go vet is in golangci-lint, by the settings of .golangci.yml.
lint: have-go
	$(call tool,golangci-lint) run
	cd e2e && $(GO) tool -modfile=../tools/golangci-lint.mod golangci-lint run
	cd bench/peers/centrifuge && $(GO) tool -modfile=../../../tools/golangci-lint.mod golangci-lint run

# Known vulnerabilities that the code reaches fail; a database that cannot be
# reached does not. govulncheck ends with 3 where it found one.
vuln: have-go
	@out=$$(timeout 300 $(call tool,govulncheck) ./... 2>&1); status=$$?; \
	case $$status in \
	0) echo "govulncheck: nothing found" ;; \
	3) echo "$$out"; echo "govulncheck: FOUND, see above"; exit 1 ;; \
	124) echo "NOTICE: known vulnerabilities were NOT looked for: no answer within 5 minutes" ;; \
	*) if echo "$$out" | grep -q 'fetching vulnerabilities'; then \
		echo "NOTICE: known vulnerabilities were NOT looked for: the database cannot be reached"; \
	   else echo "$$out"; exit 1; fi ;; \
	esac

# Each fuzz target in turn, FUZZTIME each. What a target finds is put under
# testdata/fuzz beside it: commit it with the mend.
fuzz: have-go
	@grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | sort | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$$file"); do \
			echo "== $$target, $(FUZZTIME)"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" </dev/null || exit 1; \
		done || exit 1; \
	done

bench: have-go
	$(GO) run ./bench $(ARGS)

clean:
	rm -rf rollcall dist
	find . -type f \( -name '*.test' -o -name '*.prof' \) -delete

have-go:
	@command -v $(GO) >/dev/null || { echo "make: no Go found; see the version in go.mod" >&2; exit 1; }

# The race detector is C inside: without a compiler and its headers, go test
# would end with a message that names neither.
have-cc: have-go
	@cc=$$($(GO) env CC); command -v $${cc%% *} >/dev/null || \
		{ echo "make test: no C compiler ($$cc), which go test -race needs; on Debian: apt install gcc libc6-dev" >&2; exit 1; }
	@echo '#include <stdlib.h>' | $$($(GO) env CC) -E - >/dev/null 2>&1 || \
		{ echo "make test: no C headers, which go test -race needs; on Debian: apt install libc6-dev" >&2; exit 1; }
	@test "$$($(GO) env CGO_ENABLED)" = 1 || \
		{ echo "make test: CGO_ENABLED is 0, but go test -race needs cgo" >&2; exit 1; }
