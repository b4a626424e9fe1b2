# Needs Python >= 3.11 and make, nothing else. Safe to repeat: .venv is set up again only when
# pyproject.toml or constraints.txt changed, or when a set-up was interrupted.
PYTHON ?= python3
# loadgroup: tests that share something costly, such as the SLURM cluster, share a process.
PYTEST_ARGS ?= -n 2 --dist loadgroup
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
PIP := .venv/bin/python -m pip install -qq --disable-pip-version-check

# Where byte code is not written, each of the hundred processes that the tests start would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv pretrain test check coverage bench docs clean
.DELETE_ON_ERROR:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

venv: .venv/.installed ## set up .venv with everything the project needs

pretrain: .venv/.installed ## build shards, pretrain, fine-tune, evaluate and report into runs/quickstart, in minutes
	.venv/bin/wfm quickstart

test: .venv/.installed ## run the tests; PYTEST_ARGS="-k shards" narrows them
	.venv/bin/python -m pytest $(PYTEST_ARGS)

check: .venv/.installed ## ruff, mypy and the tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	@$(MAKE) --no-print-directory test

coverage: .venv/.installed ## run the tests and report which lines they reach, in build/coverage
	.venv/bin/python -m pytest $(PYTEST_ARGS) --cov --cov-report=term --cov-report=html:build/coverage

bench: .venv/.installed ## run the benchmarks and render benchmarks/README.md
	.venv/bin/python -m benchmarks

docs: .venv/.installed ## build the documentation site into build/site, without warnings
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

clean: ## remove .venv and caches, never runs/
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

# torch comes first, because every package that needs it would otherwise pull the newest CUDA build. With a GPU: the
# default build. Without: the CPU build, which PyPI does not carry. The first try asks only the indexes pip is already
# configured with (a local mirror or wheel folder may hold it, and pytorch.org may be out of reach); only when they do not
# have it, pytorch.org is added. That second form lets macOS take its plain wheel, which has no +cpu name.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: '$(PYTHON)' is not Python >= 3.11; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up .venv: installing, about 2-3 minutes (more where packages must be downloaded) ..."
	@$(PYTHON) -m venv .venv
	@if command -v nvidia-smi >/dev/null; then \
	  echo "  torch $(TORCH), the default build (nvidia-smi found)"; \
	  $(PIP) torch==$(TORCH); \
	else \
	  echo "  torch $(TORCH), the CPU build (no nvidia-smi)"; \
	  $(PIP) torch==$(TORCH)+cpu 2>/dev/null || \
	  $(PIP) torch==$(TORCH) --extra-index-url https://download.pytorch.org/whl/cpu; \
	fi
	@echo "  foundation and its other dependencies"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@
