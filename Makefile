# Waypost's own commands. `make up` and `make test` work from a clean clone with Swift, Python and apt.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help packages model build up test unit e2e check format lint bench fuzz soak clean

DATA ?= ./data
PORT ?= 8080
HOME_DIR := $(if $(WAYPOST_HOME),$(WAYPOST_HOME),.waypost)
BIN := .build/release/waypost
TIDILY := Scripts/tidily.py
SWIFT := $(TIDILY) swift build -c release --explicit-target-dependency-import-check error
PACKAGES := libsqlite3-dev libcurl4-openssl-dev libblas-dev libopenblas0-pthread libssl-dev \
  libmicrohttpd-dev libargon2-dev pkg-config curl jq python3-venv unzip

help:
	@echo "make up     installs, fetches the model, builds, imports the demo catalog, serves on 127.0.0.1:$(PORT)"
	@echo "make test   every test"
	@echo "make check  format, lint, imports, rules of the repository"
	@echo "make soak   the ledger's simulation and crashing disk with 10^6 operations, 250 kills under load, long walks over sessions"
	@echo "make fuzz   libFuzzer on filters, queries, tokenizers and the import, SECONDS_EACH=60"
	@echo "make bench  relevance on the shipped judged needs, counts that repeat, times beside peers"

packages:
	@Scripts/install-packages.sh $(PACKAGES)

model:
	@Scripts/fetch-model.sh "$(HOME_DIR)"

build: packages
	$(SWIFT) --product waypost

# The catalog is imported and embedded once; afterwards both steps find everything in place.
up: build model
	@$(BIN) import Fixtures/models.jsonl Fixtures/services.jsonl --data "$(DATA)" --home "$(HOME_DIR)" >/dev/null
	@Scripts/print-examples.sh "$(PORT)"
	@exec $(BIN) serve --demo --data "$(DATA)" --home "$(HOME_DIR)" --port "$(PORT)"

unit: packages
	$(SWIFT) --build-tests
	SWIFT_BACKTRACE=enable=no $(TIDILY) swift test -c release --skip-build

e2e: packages
	Tests/EndToEnd/run.sh

test: packages model
	@Scripts/run-tests.sh

check: packages
	@Scripts/check.sh

format:
	swift format -i -r Sources Tests Index Prompts Package.swift

lint:
	swift format lint --strict -r Sources Tests Index Prompts Package.swift

bench: build model
	@Scripts/bench.sh "$(HOME_DIR)"

fuzz: packages
	@Scripts/fuzz.sh

soak: packages
	$(SWIFT) --build-tests
	WAYPOST_SIMULATION_STEPS=1000000 SWIFT_BACKTRACE=enable=no $(TIDILY) swift test -c release --skip-build --filter "SimulationTests"
	WAYPOST_SOAK=1 SWIFT_BACKTRACE=enable=no $(TIDILY) swift test -c release --skip-build --filter "CrashTests"
	$(SWIFT) --product waypost
	WAYPOST_LONG=1 WAYPOST_SOAK=1 Tests/EndToEnd/run.sh -k "test_kill_sessions or test_history or test_state_machine"

clean:
	rm -rf .build
