# Everything sets itself up: each target needs Python 3.11 or later and make, nothing else.
# The virtual environment is rebuilt when the locked dependencies change. PYTHON=... picks the interpreter.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
WORKERS = $(shell $(BIN)/python -c "import os; print(os.cpu_count() * 3 // 2 or 1)")
READY := $(VENV)/.ready
INTEROP := .venv-interop
NODE_READY := $(if $(and $(shell command -v node),$(shell command -v npm)),tests/interop/node_modules/.ready)
# The tests start hundreds of processes: each would compile all that it imports anew where nothing compiled may be written.
unexport PYTHONDONTWRITEBYTECODE
UV := $(shell command -v uv || echo $(BIN)/uv)
LOCK := $(UV) pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet --upgrade

$(READY): requirements/dev.txt pyproject.toml .ci/venv
	@.ci/venv $(VENV)
	@touch $@

.PHONY: demo
demo: $(READY)  ## Watch the daemon at work against a simulated tenant (ARGS=--keep leaves it running).
	@$(BIN)/postroom demo $(ARGS)

.PHONY: test
test: $(READY)  ## Run the tests but for the slow ones (ARGS="tests/unit -k redact" for some of them).
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

.PHONY: slow
slow: $(READY)  ## Run the slow tests: kills, full disks, nasty handlers, hours of bad weather.
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m slow $(ARGS)

.PHONY: crash
crash: $(READY)  ## Kill the daemon at every failure point and at random, and keep the table in docs/explanation/guarantees.md.
	@PYTHONPATH=tests $(BIN)/python -m crash --write docs/explanation/guarantees.md $(ARGS)

.PHONY: interop
interop: $(INTEROP)/.ready $(NODE_READY)  ## Install the Graph clients of others that tests/interop holds against the simulated tenant.

$(INTEROP)/.ready: requirements/interop.txt .ci/venv | $(READY)
	@PATH="$$PATH:$(CURDIR)/$(BIN)" .ci/venv $(INTEROP) requirements/interop.txt
	@touch $@

tests/interop/node_modules/.ready: tests/interop/package-lock.json
	@cd tests/interop && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

.PHONY: check
check: $(READY)  ## Lint, formatting, types, and who may import whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(READY)  ## Format the code and mend what ruff can mend by itself.
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

.PHONY: bench
bench: $(READY)  ## Measure CPU per message against a bare loop over the same pages.
	@$(BIN)/python bench/drain.py $(ARGS)

.PHONY: bench-start
bench-start: $(READY)  ## Measure the time from exec to the first Graph request.
	@$(BIN)/python bench/start.py $(ARGS)

.PHONY: bench-idle
bench-idle: $(READY)  ## Measure the CPU of an idle poll against a bare loop that polls as often.
	@$(BIN)/python bench/idle.py $(ARGS)

.PHONY: soak
soak: $(READY)  ## Run 100,000 mails through the daemon and see that neither memory nor journal grow (8 minutes).
	@$(BIN)/python bench/soak.py $(ARGS)

.PHONY: crash-sends
crash-sends: $(READY)  ## Kill a daemon that sends mail 60 times and see that each recipient got exactly one (2 minutes).
	@PYTHONPATH=tests $(BIN)/python -m crash.sends $(ARGS)

.PHONY: schema
schema: $(READY)  ## Write config/postroom.schema.json anew from the code.
	@$(BIN)/postroom schema > config/postroom.schema.json.new
	@mv config/postroom.schema.json.new config/postroom.schema.json

.PHONY: docs
docs: $(READY)  ## Write the generated parts of the reference anew from the code.
	@$(BIN)/python docs/generate.py

.PHONY: lock
lock: $(READY) $(UV)  ## Lock the newest dependencies that pyproject.toml allows.
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) pyproject.toml -c requirements/build.txt -o requirements/run.txt
	$(LOCK) requirements/build.in pyproject.toml --group dev -c requirements/build.txt -c requirements/run.txt \
	    -o requirements/dev.txt
	$(LOCK) requirements/interop.in -o requirements/interop.txt

$(BIN)/uv: | $(READY)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt

.PHONY: clean
clean:  ## Remove what was built, cached or set up here.
	rm -rf $(VENV) $(INTEROP) tests/interop/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help:  ## Say what there is.
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/\1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done
