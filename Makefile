# revertkit: `make help` lists what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# The guest has two processors, and scenarios wait for one tool after the other: three keep both busy.
AT_ONCE := -n 3
# What `make test` takes of the conformance suite on real LVM and ZFS: an interruption, by a seed that it prints.
SAMPLE := --points 1 -k 'test_faults and [revert]'
# Turns of each revert in `make bench-vm`.
TIMES ?= 5

# Interruptions of each operation in `make vm-conformance`.
POINTS ?= 1
BACKENDS := thick thin zfs
# What `make vm-sweep` interrupts at each of its steps, in every way: a report each, so that it goes on where it stopped.
SWEPT := revert create_snapshot delete_snapshot revert_to_smaller
SWEEPS := $(foreach operation,$(SWEPT),$(BACKENDS:%=build/sweep/%-$(operation).json))
SOURCES := $(shell find revertkit -name '*.py')

# What is on the site: the documents, and what they link to, each where it is here so that every link holds.
PAGES := $(wildcard *.md docs/* benchmarks/README.md benchmarks/revert.json benchmarks/revert.svg \
	examples/btrfs/README.md revertkit/driver.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-host lint types docs format bench bench-api bench-vm bench-replication clean vm-core vm-up vm-test vm-conformance vm-sweep vm-powercut vm-ssh vm-down

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/.base  ## make a share of real files, wreck it, revert it, compare every byte
	$(BIN)/revertkit demo

test: test-host  ## run the tests of this host, then in the VM the core of the scenarios and a sample of the faults
	@if why=$$(vm/can-run 2>&1); then $(MAKE) --no-print-directory vm-core; \
	else printf 'NOT RUN: the scenarios on real LVM and ZFS (%s)\n' "$$why"; test -z "$$CI"; fi

test-host: $(VENV)/.dev  ## run the tests that need no VM
	tests/packages
	$(BIN)/python -m pytest tests

vm-core: vm-up  ## run the core of the scenarios in the VM, then interrupt a revert on each backend at a moment drawn by chance
	vm/test $(AT_ONCE) -m "core and not matrix"
	for backend in $(BACKENDS); do vm/conformance $$backend $(SAMPLE) || exit; done

vm-up: $(VENV)/.dev  ## bring up the VM with LVM, ZFS and NFS; builds its box at first
	vm/up

vm-test: vm-up  ## run every scenario in the VM, then those of power cuts and of two hosts from outside it
	REVERTKIT_VM_TEST_SECONDS=$${REVERTKIT_VM_TEST_SECONDS:-10800} vm/test $(AT_ONCE) -m "matrix or not sample"
	$(BIN)/python -m pytest scenario_tests/power scenario_tests/two_hosts

vm-conformance: $(BACKENDS:%=build/conformance/%.json)  ## run the whole conformance suite on real LVM and ZFS; hours

build/conformance/%.json: $(SOURCES) | vm-up
	REVERTKIT_VM_TEST_SECONDS=18000 vm/conformance $* --report $@ --points $(POINTS)

vm-sweep: $(SWEEPS)  ## interrupt reverts and snapshots at every step, on real LVM and ZFS; hours, resumable

build/sweep/%.json: $(SOURCES) | vm-up
	REVERTKIT_VM_TEST_SECONDS=36000 vm/conformance $(word 1,$(subst -, ,$*)) --report $@ \
		-k '(test_faults or test_lies) and [$(word 2,$(subst -, ,$*))]'

vm-powercut: $(VENV)/.dev  ## cut the power of a guest a hundred times in the middle of reverts; resumable
	vm/powercut --cuts $${CUTS:-100}

vm-ssh:  ## open a shell in the VM, as root
	vm/ssh

vm-down:  ## destroy the VM; its box stays in the cache
	vm/down

lint: $(VENV)/.dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy --strict on the package and the example
	$(BIN)/mypy

docs/openapi.json: $(VENV)/.dev $(wildcard revertkit/api/*.py revertkit/api/*/*.py)  ## write the API's OpenAPI document
	$(BIN)/python -m revertkit.api.document >$@

docs/driver-matrix.md: $(VENV)/.dev $(wildcard revertkit/drivers/*/*.py) revertkit/driver.py revertkit/cli/matrix.py  ## write the table of drivers
	$(BIN)/revertkit driver matrix >$@

docs: $(VENV)/.dev  ## build the site of the documents in build/site; a broken link fails
	rm -rf build/pages
	mkdir -p build/pages
	cp --parents $(PAGES) build/pages
	$(BIN)/mkdocs build --strict

format: $(VENV)/.dev  ## let ruff format everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## measure the core; figures are in benchmarks/README.md
	$(BIN)/python benchmarks/core.py

bench-api: $(VENV)/.dev  ## measure the REST API beside a real Manila, which is installed at the first time
	$(BIN)/python benchmarks/api.py

bench-vm: vm-up  ## measure reverts in the VM, beside typed commands; TIMES=1 is a quick look
	tar -c benchmarks | vm/ssh 'tar -x -C /opt'
	mkdir -p build
	vm/ssh 'timeout 5400 /opt/revertkit/bin/python /opt/benchmarks/revert.py --times $(TIMES) --format json' >build/revert.json
	$(BIN)/python benchmarks/told.py build/revert.json build/revert.svg

bench-replication: vm-up  ## measure in the VM what replicas need after a revert, and what readers notice
	tar -c benchmarks | vm/ssh 'tar -x -C /opt'
	mkdir -p build
	vm/ssh 'timeout 5400 /opt/revertkit/bin/python /opt/benchmarks/replication.py --times $(TIMES)' | tee build/replication.md

clean:  ## remove what the targets made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
