# What people and CI type. `make setup` is called by the others and does nothing when it is up to date.
SHELL := /bin/bash
PYTHON ?= python3
CONFIG ?= configs/quickstart.yaml
VENV := .venv
COMPOSE = $(shell docker compose version > /dev/null 2>&1 && echo docker compose || echo docker-compose)
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup run test check bench faults up model down logs backup restore stack lock docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv from requirements.lock (uv if present, else venv + pip)

$(READY): requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) && \
	  uv pip install --quiet --python $(VENV)/bin/python --require-hashes --compile-bytecode -r requirements.lock && \
	  uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --compile -r requirements.lock && \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(READY)

run: setup  ## the main job: CONFIG=configs/quickstart.yaml, then one real REST query
	@ratchet run -c $(CONFIG) --ask

test: setup  ## the whole test suite
	@pytest

check: setup  ## ruff, mypy --strict, import-linter
	@ruff check . && ruff format --check .
	@mypy
	@lint-imports

bench: setup  ## every figure of the README and docs/benchmarks.md, each beside its peer; hours, resumable
	@python benchmarks/preprocess.py
	@python benchmarks/volume.py
	@python benchmarks/scoring.py
	@python benchmarks/serving.py
	@python benchmarks/reasons.py
	@python benchmarks/rollout.py
	@python benchmarks/tracking.py
	@python benchmarks/tasks.py
	@python benchmarks/public_sets.py
	@python benchmarks/quality.py
	@python benchmarks/search.py --plot docs/images/search.png
	@python benchmarks/search_profile.py

faults: setup  ## the faults at full count: 50 kills, 20 crashes of PostgreSQL, a line of a gigabyte, a million levels
	@RATCHET_FAULTS=full pytest tests/faults tests/stack

.env: .env.example
	@deploy/secrets.sh .env

TRACKING = set -a; . ./.env; deploy/wait.sh "http://127.0.0.1:$$MLFLOW_PORT/health" "the tracking server"

ACCOUNTS = $(PYTHON) deploy/accounts.py

up: .env  ## the team stack in Docker; writes .env with random passwords the first time
	@$(COMPOSE) up -d --build
	@$(TRACKING) && $(ACCOUNTS); \
	  echo "tracking server: http://127.0.0.1:$$MLFLOW_PORT (the account admin; its password is in .env)"
	@echo "train:           source <(deploy/environment.sh scientist)"
	@echo "promote, review: source <(deploy/environment.sh promoter)"
	@echo "serve:           source <(deploy/environment.sh gateway)"
	@echo "all as admin:    source <(deploy/environment.sh)   (but for ratchet serve)"

model: .env  ## beside it the model server; which task and stage, .env says
	@$(TRACKING) && { $(ACCOUNTS) || true; }
	@$(COMPOSE) --profile model up -d model
	@set -a; . ./.env; deploy/wait.sh "http://127.0.0.1:$$MODEL_PORT/ping" "the model server" && \
	  echo "$$RATCHET_STAGE of $$RATCHET_TASK: http://127.0.0.1:$$MODEL_PORT/invocations"

down:  ## stop it; what it keeps stays in its volumes
	@$(COMPOSE) --profile model --profile emulator down

logs:  ## what its parts say
	@$(COMPOSE) --profile model --profile emulator logs -f --tail 100

# The stack's databases and bucket, as its operator reaches them from outside the containers.
OPERATOR = set -a; . ./.env; export PGHOST=127.0.0.1 PGPORT="$$POSTGRES_PORT" PGPASSWORD="$$POSTGRES_PASSWORD"; \
	  [ -z "$$STORAGE_EMULATOR_HOST" ] || export STORAGE_EMULATOR_HOST="http://127.0.0.1:$$GCS_PORT"; \
	  export GOOGLE_CLOUD_PROJECT="$${GOOGLE_CLOUD_PROJECT:-ratchet}"

backup: setup .env  ## databases and bucket of the stack in Docker into backups/DATE
	@$(OPERATOR); ratchet backup "backups/$$(date +%F-%H%M%S)"

restore: setup  ## FROM=backups/DATE back onto an empty stack (`make up`)
	@test -d "$(FROM)" || { echo "make restore FROM=backups/DATE (there is no folder '$(FROM)')"; exit 2; }
	@$(COMPOSE) stop tracking
	@$(OPERATOR); ratchet restore "$(FROM)"
	@$(COMPOSE) start tracking
	@$(TRACKING) && { $(ACCOUNTS) || true; }

stack: setup  ## the team stack on this machine, without Docker; it says which environment to source for what
	@ratchet stack

lock: setup  ## write requirements.lock anew from pyproject.toml
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
	  --extra dev -o requirements.lock pyproject.toml

docs: setup  ## write the generated pages anew: config reference, JSON schema, faults
	@ratchet config schema > configs/task.schema.json
	@ratchet config reference > docs/config.md
	@python docs/faults.py

clean:  ## remove caches and the virtual environment, keep data/ and the tracking store
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build src/*.egg-info
