# What people call. Everything that is needed is installed by lab/setup.sh: Debian packages that
# are missing, and a virtual environment in .venv.

PYTHON := .venv/bin/python
SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=HOME,XDG_CACHE_HOME,STANDBY_LAB_ROOT)
NAME ?= demo
RUNS ?= 1000
SEED ?=
# Tests mostly wait for QEMU, libvirt and SSH: four at a time, each with a lab of its own.
AT_ONCE ?= 4

.PHONY: help setup demo lab-up lab-down test test-all chaos lint bench docs

help:
	@echo "make demo            the whole story in a lab of two hosts, in under 5 minutes"
	@echo "make demo KEEP=1     the same, and leave the lab up to play with"
	@echo "make lab-down        remove the lab"
	@echo "make test            set up and run the tests, about a quarter of an hour"
	@echo "make test-all        the same with the long ones"
	@echo "make chaos RUNS=1000 SEED=7  random cycles with random faults, replayable"
	@echo "make lint            formatting, rules and types"
	@echo "make bench ONLY=...  side by side with what else one could run"
	@echo "make docs            generate the references in docs/ anew"

setup:
	lab/setup.sh

demo: setup
	$(SUDO) $(PYTHON) -m lab.demo --name $(NAME) $(if $(KEEP),--keep)

lab-up: setup
	$(SUDO) $(PYTHON) -m lab --name $(NAME) up

lab-down:
	$(SUDO) $(PYTHON) -m lab --name $(NAME) down

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test: lint
	$(SUDO) $(PYTHON) -m pytest -n $(AT_ONCE) --dist worksteal --durations 25 -m "not long"

test-all: lint
	$(SUDO) $(PYTHON) -m pytest -n $(AT_ONCE) --dist worksteal

chaos: setup
	$(SUDO) env PYTHONPATH=tests/system $(PYTHON) -m tests.chaos --runs $(RUNS) $(if $(SEED),--seed $(SEED))

bench: setup
	lab/provision/install-packages.sh lab/provision/packages-bench.txt
	$(SUDO) $(PYTHON) -m bench $(if $(ONLY),--only $(ONLY))

docs: setup
	.venv/bin/standby profile reference > docs/.reference && mv docs/.reference docs/profile-reference.md
