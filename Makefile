# Everything runs in .venv; each target makes it if need be. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.ready

.PHONY: demo test bench check format clean

demo: $(READY)
	$(BIN)/pyv-edge-host demo --seconds 10 --boards 2 --rate 100

test: $(READY)
	$(BIN)/python -m pytest -q

# NAMES chooses figures: all, core, core.mpy_bytes; the table is in build/bench.json too.
bench: $(READY)
	$(BIN)/python -m pyv_edge_bench $(NAMES)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist
