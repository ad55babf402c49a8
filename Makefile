# mdbench: `make help` lists the targets. A fresh machine needs CPython 3.11+, pip, make and a compiler.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= run
PROFILE ?= laptop
EXECUTOR ?= local
DATA ?=
MODELS ?=
CORES ?=
# cpu where no NVIDIA driver is found; cuda otherwise. Override: make setup TORCH=cpu|cuda
TORCH ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
TORCH_PIN := 2.13.0
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Spinning OpenMP threads on shared cores cost 6 to 15 times: one thread per process.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow lint format bench bench-gpu docs benchmark clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.torch-$(TORCH):
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing torch $(TORCH_PIN) ($(TORCH))"
ifeq ($(TORCH)-$(shell uname -s),cpu-Linux)
	@# the plain pin brings gigabytes of CUDA onto a laptop
	@$(PIP) torch==$(TORCH_PIN)+cpu 2>/dev/null || \
	  $(PIP) --extra-index-url https://download.pytorch.org/whl/cpu torch==$(TORCH_PIN)+cpu
else
	@$(PIP) torch==$(TORCH_PIN)
endif
	@rm -f $(VENV)/.torch-* && touch $@

$(VENV)/.core: $(VENV)/.torch-$(TORCH) setup.cfg pyproject.toml constraints.txt
	@echo "installing mdbench and what running needs"
	@$(PIP) --editable '.[workflow]' && touch $@

# Each extra is installed once, and again only when the metadata or the pins change.
$(VENV)/.dev $(VENV)/.validate $(VENV)/.docs: $(VENV)/.%: $(VENV)/.core
	@echo "installing what '$*' needs"
	@$(PIP) --editable '.[workflow,$*]' && touch $@

setup: $(VENV)/.core  ## make .venv with what running needs (TORCH=cpu|cuda)

test: $(VENV)/.dev $(VENV)/.validate  ## run the tests
	@MDBENCH_PEERS=1 $(BIN)/python -m pytest -m "not slow and not gpu"

test-slow: $(VENV)/.dev $(VENV)/.validate  ## run every test that this machine can
	@MDBENCH_PEERS=1 $(BIN)/python -m pytest

lint: $(VENV)/.dev  ## formatting, rules, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy mdbench cli workflows
	@$(BIN)/mypy tests
	@$(BIN)/lint-imports

format: $(VENV)/.dev  ## rewrite the files in the house's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(VENV)/.validate  ## speed against named peers, in ratios -> benchmarks/results.json, models.json
	@$(BIN)/python -m benchmarks && $(BIN)/python -m benchmarks.models

bench-gpu: $(VENV)/.core  ## speed of the force fields on a GPU -> benchmarks/gpu.json
	@$(BIN)/python -m benchmarks.gpu

docs: $(VENV)/.docs  ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# PROFILE=smoke|laptop|gpu|paper|FILE, DATA=my_aimd/, MODELS=schnet-small,chgnet, EXECUTOR=slurm
benchmark: $(VENV)/.core  ## run the whole chain (PROFILE=laptop) -> $(RUN)/report/index.html
	@$(BIN)/mdbench benchmark --profile '$(PROFILE)' --run '$(RUN)' --executor '$(EXECUTOR)' \
	  $(if $(DATA),--data '$(DATA)') $(if $(MODELS),--models '$(MODELS)') $(if $(CORES),--cores $(CORES))

clean:  ## remove what the targets made (not .venv)
	@rm -rf site build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .snakemake
