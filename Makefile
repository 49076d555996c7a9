# gaoler: build, try, test, install. `make help` lists the targets.

PREFIX ?= /usr/local
CARGO ?= cargo

# The target is named in .cargo/config.toml, so cargo builds into a directory of that name.
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
OUT := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(OUT)/$(HOST)/release/gaoler
SOURCES := $(shell find src services prober -type f) build.rs Cargo.toml Cargo.lock .cargo/config.toml

BIN := $(DESTDIR)$(PREFIX)/bin
SHARE := $(DESTDIR)$(PREFIX)/share
MAN := $(SHARE)/man/man1
BASH := $(SHARE)/bash-completion/completions
ZSH := $(SHARE)/zsh/site-functions
FISH := $(SHARE)/fish/vendor_completions.d

# Most tests wait for a service more than they compute.
RUST_TEST_THREADS ?= $(shell echo $$(( $$(nproc) + 1 )))
export RUST_TEST_THREADS

# How long each fuzz target runs, in seconds, and which they are.
FUZZ_SECONDS ?= 3600
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/targets/*.rs)))

.PHONY: all audit bench clean demo fuzz help install lint man test

all: $(BINARY)

$(BINARY): $(SOURCES)
	$(CARGO) build --release --locked
	@touch $@

help:
	@echo 'make          build $(BINARY)'
	@echo 'make demo     jail a name server in private copies of /etc and /var, ask it, stop it (root)'
	@echo 'make test     lint and every test; installs the Debian packages that they need (root)'
	@echo 'make lint     formatting and clippy'
	@echo 'make bench    the benchmarks'
	@echo 'make fuzz     each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS); FUZZ_TARGETS="log spec" for some'
	@echo 'make audit    licences, sources and advisories of the dependencies'
	@echo 'make man      man pages, into $(OUT)/man'
	@echo 'make install  program, man pages, completions: PREFIX=$(PREFIX), DESTDIR=$(DESTDIR)'
	@echo 'make clean    remove what was built'

demo: $(BINARY)
	examples/demo.sh $(BINARY)

lint:
	$(CARGO) fmt --check
	rustfmt --edition 2024 --check prober/main.rs fuzz/lib.rs fuzz/targets/*.rs
	$(CARGO) clippy --locked --all-targets -- -D warnings

test:
	@test "$$(id -u)" = 0 || { echo 'make test: the tests set up jails, so they need root' >&2; exit 1; }
	MAKE='$(MAKE)' CARGO='$(CARGO)' sh tests/all.sh

bench:
	$(CARGO) bench --locked

# Stable Rust does: without a sanitizer, the code being safe outside of src/sys. What is found new is
# kept in fuzz/found, not among the seeds. Memory is limited, because a file that makes gaoler take
# much of it is a finding.
fuzz:
	command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/found/$$target; \
		TMPDIR=$$scratch $(CARGO) fuzz run --fuzz-dir fuzz --sanitizer none $$target \
			fuzz/found/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) \
			-max_len=16384 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=128 -print_final_stats=1; \
	done

# The advisories are a git repository that must be fetched; where that cannot be, the rest is
# checked all the same.
audit:
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check licenses bans sources
	@if $(CARGO) deny --locked fetch db; then \
		$(CARGO) deny --locked check advisories; \
	else \
		echo 'make audit: advisories NOT checked: their database cannot be fetched from here' >&2; \
	fi

man: $(BINARY)
	rm -rf $(OUT)/man
	$(BINARY) man $(OUT)/man

install: man
	install -D -m 755 $(BINARY) $(BIN)/gaoler
	install -d $(MAN) $(BASH) $(ZSH) $(FISH)
	install -m 644 $(OUT)/man/*.1 $(MAN)
	$(BINARY) completions bash >$(BASH)/gaoler
	$(BINARY) completions zsh >$(ZSH)/_gaoler
	$(BINARY) completions fish >$(FISH)/gaoler.fish

clean:
	$(CARGO) clean
