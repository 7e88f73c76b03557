# From a checkout to the paper's figures: `make replicate`. Needs Python 3.11 or newer, make and git, nothing else: every
# target works in .venv, which is set up on first use and again when pyproject.toml or constraints.txt change.
# In an environment of your own (conda, pip) leave make aside and call snakemake, pytest and the rest directly.

PYTHON ?= python3
CORES ?= all

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
READY_TEST := $(VENV)/ready-test
# Commands are looked up in .venv only inside recipes: $(PYTHON) above must stay the one that .venv is made from.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help home replicate figures status report quick test lint api bench record constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "variables: PYTHON=$(PYTHON) (what .venv is made from), CORES=$(CORES) (for snakemake)"

replicate: home $(READY) ## train every policy, evaluate, draw every figure: results/ and figures/
	$(IN_VENV) python -m snakemake --cores $(CORES)

figures: home $(READY) ## Figs 1 to 3 from the trainings recorded in record/, where settings and code agree
	$(IN_VENV) python -m snakemake paper --cores $(CORES) --config restore=true

report: home $(READY) ## the finished run on one page: figures, tables, what made them, times: report.html
	$(IN_VENV) python -m snakemake --report report.html

# Snakemake keeps a cache there, and fails on its own before it reads anything of ours.
home:
	@test -d "$$HOME" -a -w "$$HOME" || { echo "error: HOME='$$HOME' is no folder that can be written to, as Snakemake needs one: export HOME=/path/to/folder" >&2; exit 1; }

status: $(READY) ## from a second terminal: what runs, how far it is, how long it will take
	@$(BIN)/nash-dqn status

quick: home $(READY) ## the same workflow at toy size, in a minute or two: .test/results and .test/figures
	$(IN_VENV) python -m snakemake --directory .test --cores $(CORES)

test: $(READY_TEST) ## the test suite
	$(IN_VENV) python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --cov

lint: $(READY_TEST) ## style, types, workflow
	$(IN_VENV) ruff check
	$(IN_VENV) ruff format --check
	$(IN_VENV) mypy
	$(IN_VENV) snakefmt --check workflow
	$(IN_VENV) python -m snakemake --lint

api: $(READY_TEST) ## what can be set: .api/settings.md; functions and classes, from their docstrings: .api/index.html
	@rm -rf .api
	$(IN_VENV) python -m pdoc --docformat google --output-directory .api nash_dqn
	$(IN_VENV) python -m nash_dqn.settings >.api/settings.md

bench: $(READY) ## time training and evaluation on this machine, as a table
	$(IN_VENV) python -m nash_dqn.bench

record: $(READY) ## copy the finished run to docs/ and its trainings to record/; RUN="..." has its options of snakemake
	$(IN_VENV) python -m nash_dqn.record $(RUN)

# A stamp is the last thing a set-up writes, so an interrupted one is done over. It holds the checkout's path: an
# environment does not survive being moved, and neither does one whose interpreter is gone.
ifneq ($(shell test -x $(BIN)/python && cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): pyproject.toml constraints.txt
	@if pwd | grep -q "[][:space:]'\"\`\$$&;#*?[!|<>(){}:\\^]"; then printf "error: %s: programs of an environment at such a path cannot be started; move this folder to a path of letters, digits and . _ - + , = @ %% ~\n" "$$(pwd)" >&2; exit 1; fi
	@command -v $(PYTHON) >/dev/null || { echo "error: no '$(PYTHON)' here; name a Python >= 3.11: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: $(PYTHON) is Python %d.%d, and 3.11 or newer is needed: make PYTHON=/path/to/python3" % sys.version_info[:2])'
	@echo "Setting up $(VENV) (once; about a minute, longer where the download is slow) ..." >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[report]'
	@echo "$(CURDIR)" >$@

$(READY_TEST): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[report,test]'
	@touch $@

# Local tags (torch's +cpu) and the CUDA libraries that some builds of torch bring are left out: the pins are to hold on
# every platform.
constraints: ## pin constraints.txt anew: the newest releases that pyproject.toml admits
	@set -e; new=$$(mktemp -d); trap 'rm -rf "$$new"' EXIT; \
	$(PYTHON) -m venv "$$new/venv"; \
	"$$new/venv/bin/python" -m pip install --quiet --disable-pip-version-check '.[report,sb3,slurm,test]'; \
	"$$new/venv/bin/python" -m pip freeze >"$$new/freeze"; \
	grep '^#' constraints.txt >"$$new/pins"; \
	sed -E -e '/^(nash-dqn|cuda-|nvidia-|triton)/d' -e 's/\+[A-Za-z0-9.]+$$//' "$$new/freeze" >>"$$new/pins"; \
	cp "$$new/pins" constraints.txt

clean: ## remove .venv, caches and the toy-size run; results/ and figures/ stay
	rm -rf $(VENV) build src/nash_dqn.egg-info .mypy_cache .pytest_cache .ruff_cache
	rm -rf .test/results .test/figures .test/logs .test/benchmarks .test/.checkpoints .test/.snakemake
	find src tests workflow -name __pycache__ -type d -prune -exec rm -rf {} +
