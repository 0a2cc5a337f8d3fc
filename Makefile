# Everything here sets itself up in .venv; nothing but Python 3.11 or newer is needed on the machine.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
PACKAGES := pilotlight admission autoscaler activator queue_proxy simulations
# Where `make wheel` puts what it makes.
DIST := dist
CODE := $(PACKAGES) tests benchmarks setup.py compile_packages.py
COMPILED := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/compiled:$(CURDIR)
# Instead of the sources, which pytest would else put first.
# At the lowest priority beside other tests, each may take its time; the first compiles the plant anew.
COMPILED_TESTS := --import-mode=append --override-ini=pythonpath= --timeout=600 tests/unit/decide tests/unit/signals \
  $(addprefix tests/unit/simulations/,plant policies experiment)
# What `make test` runs after the linters; TESTS=tests/unit runs only those.
TESTS ?= tests
# What takes minutes, or is about the tests' own cluster: control planes that fail, twenty wakes and sleeps, the page on
# clusters to the letter. A node, a leader, a model or any component of ours that is lost is in `make test`.
LONG := $(wildcard $(patsubst %,tests/kubernetes/test_%*.py,faults_activators faults_control faults_partition \
  faults_prometheus takeover_clock docs_ canary_ cluster_lifetime cluster_scale cluster_gateway activation_path))

.DEFAULT_GOAL := help
.PHONY: help demo test test-compiled test-long test-kserve lint style cluster wheel compiled bench bench-dataplane bench-wake bench-scale bench-simulator docs \
  lock clean

help:
	@echo "make demo   three example services from zero through a burst and back, with a report"
	@echo "make test   lint, types, import contracts and all tests"
	@echo "make test-long  what a real cluster does when its parts fail, twenty wakes and sleeps: half an hour more"
	@echo "make test-kserve  what a real cluster does under KServe's own controller, where PILOTLIGHT_KSERVE says where that is"
	@echo "make lint   the first three of these alone"
	@echo "make cluster  a real Kubernetes cluster of two nodes on this machine, with the image, until Ctrl-C"
	@echo "make wheel  what to install where speed counts: what decides is compiled in it"
	@echo "make compiled  what is in that wheel, in build/compiled"
	@echo "make bench  what a proxied request and a wake cost"
	@echo "make bench-dataplane  the queue proxy beside Knative's, nginx, haproxy and aiohttp"
	@echo "make bench-simulator  simulated requests a second, beside SimFaaS"
	@echo "make bench-wake  a wake in a real cluster, by phase, beside Knative Serving in the same one"
	@echo "make bench-scale  a thousand services and three thousand pods through a real API server, and how cost grows"
	@echo "make docs   write the generated pages under docs/ again"
	@echo "make lock   resolve the dependencies again and pin them"

demo: $(VENV)/.runtime
	$(BIN)/pilotlight demo

# What real clusters are made of is compiled beside all that needs none; tests that do come last and wait for it.
# Unit tests keep no clock, so they share the processors with whatever the tests of the cluster need built. Those of
# several processes mostly wait for one another, so they run two at a time, and beside them what is compiled is made and
# tested; a cluster takes the whole machine.
test: style
ifeq ($(TESTS),tests)
	nice -n 19 $(BIN)/python -m tests.cluster prepare & \
	$(MAKE) --no-print-directory lint $(VENV)/.mlserver && \
	$(BIN)/python -m pytest tests/unit --numprocesses=auto && \
	mkdir -p build && { nice -n 19 $(MAKE) --no-print-directory test-compiled >build/compiled.log 2>&1 & compiled=$$!; } && \
	$(BIN)/python -m pytest tests/conformance tests/integration tests/security --numprocesses=2 --dist=loadfile && \
	{ wait $$compiled; failed=$$?; cat build/compiled.log; test $$failed = 0; } && \
	{ wait; $(BIN)/python -m pytest tests/kubernetes $(LONG:%=--ignore=%); }; result=$$?; wait; exit $$result
else
	$(MAKE) --no-print-directory lint $(VENV)/.mlserver
	$(BIN)/python -m pytest $(TESTS)
endif

test-compiled: compiled
	sed 's#/#.#g; s#[.]py$$##; s#.*#import & as module; assert module.__file__.endswith(".so"), module#' compiled.txt \
	  | $(COMPILED) $(BIN)/python -
	$(COMPILED) $(BIN)/python -m pytest --quiet $(COMPILED_TESTS)

# Half an hour; needs what `make cluster` needs.
test-long: $(VENV)/.dev
	$(BIN)/python -m pytest $(LONG)

# Under KServe's own controller, built, in the directory that PILOTLIGHT_KSERVE names: see tests/cluster/README.md.
test-kserve: $(VENV)/.dev
	@test -x "$$PILOTLIGHT_KSERVE/manager" || { echo "PILOTLIGHT_KSERVE names no directory with KServe's manager;" \
	  "tests/cluster/README.md says what belongs in it"; exit 1; }
	$(BIN)/python -m pytest $(if $(filter tests,$(TESTS)),tests/kubernetes $(LONG:%=--ignore=%),$(TESTS))

# Needs Linux, root and some packages, which it names: see tests/cluster/README.md.
cluster: $(VENV)/.dev
	$(BIN)/python -m tests.cluster up

lint: style
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

style: $(VENV)/.dev
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

# For this Python on this platform, made of a copy: what is left of making it would be found beside the sources.
# Of sources alone, for any: `pip wheel --no-deps .`
wheel: $(VENV)/.dev
	rm -rf build/wheel $(DIST)/pilotlight-*-cp*.whl
	mkdir -p build/wheel
	cp -r $(PACKAGES) setup.py compile_packages.py compiled.txt pyproject.toml README.md LICENSE build/wheel
	PILOTLIGHT_COMPILE=1 $(PIP) wheel --no-build-isolation --no-deps --wheel-dir $(DIST) build/wheel
	rm -rf build/wheel

# What is in that wheel. Nothing that is compiled lies beside the sources: who changes one would run the other.
compiled: $(VENV)/.dev
	$(MAKE) --no-print-directory wheel DIST=build/dist
	rm -rf build/compiled
	$(BIN)/python -m zipfile --extract build/dist/*.whl build/compiled

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/dataplane_cpu.py
	$(BIN)/python -m benchmarks.wake
	$(BIN)/python -m benchmarks.decide

# Side by side with Knative's queue-proxy, nginx, haproxy and aiohttp; benchmarks/dataplane/README.md says what it needs.
bench-dataplane: $(VENV)/.dev
	$(BIN)/python -m benchmarks.dataplane --write docs/performance.md

# Needs `pip install simfaas` somewhere: SIMFAAS=/path/to/its/python.
bench-simulator: compiled
	$(COMPILED) $(BIN)/python -m benchmarks.simulator $(if $(SIMFAAS),--simfaas $(SIMFAAS))

# What both need is what `make cluster` needs; Knative is compiled once from its Go module.
bench-wake: $(VENV)/.dev
	$(BIN)/python -m benchmarks.kubernetes_wake --write

bench-scale: compiled
	$(COMPILED) $(BIN)/python -m benchmarks.kubernetes_scale --write

docs: $(VENV)/.runtime
	$(BIN)/python -m autoscaler.policy.reference > docs/policy.md
	$(BIN)/python -m pilotlight.metrics_reference > docs/metrics.md
	$(BIN)/python -m simulations.policies_reference > docs/policies.md

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# A real inference server that is not ours, for the integration tests. Its dependencies are its own.
$(VENV)/.mlserver: requirements-mlserver.lock | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/mlserver
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV)/mlserver/bin/python -m pip install --quiet --require-hashes -r requirements-mlserver.lock
	@touch $@

# Needs uv (pip install uv). No index address is written: whoever installs uses his own.
lock:
	uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --extra cluster --extra simulate --extra numba pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --extra cluster --extra otel --constraint requirements.lock pyproject.toml --output-file requirements-image.lock
	uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --extra dev --constraint requirements.lock pyproject.toml --output-file requirements-dev.lock
	printf 'mypy[mypyc]\n' | uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes \
	  --constraint requirements-dev.lock --no-emit-index-url --no-annotate --no-header - --output-file requirements-compile.lock
	printf 'mlserver\nmlserver-sklearn\n' | uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header - --output-file requirements-mlserver.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build dist
