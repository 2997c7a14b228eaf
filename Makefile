# Sets up what is needed, then calls what does the work. Nothing but Python 3.11 or later, make and git has to be there.

BIN := .venv/bin
READY := .venv/.ready
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$python; break; }; done)

# Most of the time tests wait for programs that they started.
WORKERS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: help demo test soak check bench

help: ## Show this.
	@sed -n 's/^\([a-z]*\): .*## \(.*\)/make \1	\2/p' Makefile

demo: $(READY) ## Take the tour on three devices that live on this machine.
	@$(BIN)/fleet demo

test: $(READY) ## Run every test; ARGS='-k registry' chooses some.
	@sh tests/needs.sh
	@$(BIN)/python -m compileall -q fleet_tasks tests # or each program would do it anew, where PYTHONDONTWRITEBYTECODE is set
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS); code=$$?; echo $$code >.venv/pytest-exit; exit $$code

soak: $(READY) ## Do many runs in one process and look what is left; FLEET_SOAK=2000 says how many.
	@sh tests/needs.sh
	@FLEET_SOAK=$${FLEET_SOAK:-500} $(BIN)/pytest --timeout=0 tests/soak $(ARGS)

check: $(READY) ## Look the code over: ruff, mypy, shellcheck.
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@find fleet_tasks tests -name '*.sh' -exec $(BIN)/shellcheck {} +

bench: $(READY) ## Measure dispatch beside its peers; OF=batch many short tasks, OF=supervision what a task costs.
	@sh tests/needs.sh
	@$(BIN)/python -m benchmarks$(if $(OF),.$(OF)) $(ARGS)

$(READY): setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo 'There is no Python 3.11 or later on the PATH: install one, then try again.' >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo 'This Python makes no environments: install its venv module (apt install python3-venv).' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
