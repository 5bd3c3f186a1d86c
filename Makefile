# Two commands do everything on a fresh machine (Python 3.11+, make, git): make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
FRAMES ?= 6000
SEED ?= 1
PYTEST_ARGS ?=
export OMP_NUM_THREADS ?= 2

.PHONY: demo test lint clean

$(VENV)/.shotsort: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.shotsort-dev: $(VENV)/.shotsort
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.shotsort  ## simulate a run, sort it, say where the report is
	@mkdir -p $(DEMO)
	$(BIN)/shotsort sim clusters --frames $(FRAMES) --seed $(SEED) --to $(DEMO)/run.h5
	$(BIN)/shotsort sort $(DEMO)/run.h5 -w $(DEMO)/run
	$(BIN)/shotsort evaluate $(DEMO)/run
	@echo "Report:   $(DEMO)/run/report.html"
	@echo "Explorer: $(BIN)/shotsort explore $(DEMO)/run"

test: $(VENV)/.shotsort-dev lint  ## lint, types, tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.shotsort-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
