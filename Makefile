# Every target sets up what it needs; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= $(shell for v in python3.11 python3.12 python3.13 python3; do command -v $$v >/dev/null 2>&1 && { echo $$v; break; }; done)
VENV := .venv
PY := $(VENV)/bin/python
BUILD_INPUTS := setup.py pyproject.toml $(shell find kcore kafka_py \( -name '*.pyx' -o -name '*.pxd' -o -name '*.h' \) -not -name '*_api.h' 2>/dev/null) \
	$(wildcard $(patsubst %.pxd,%.py,$(shell find kafka_py -name '*.pxd' 2>/dev/null))) \
	$(filter-out %/start_codecs.py,$(wildcard kafka_py/protocol/*.py))
PORT ?= 9092
DATA ?= data
CYCLES ?= 1000
SECONDS_EACH ?= 60

.DEFAULT_GOAL := help
.PHONY: help run test oracle interop bench bench-quick bench-once lint asan fuzz crash ctest clean check-tools

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

# One clear line each for what a fresh machine may lack.
check-tools:
	@[ -n "$(PYTHON)" ] || { echo "kafka_py needs Python 3.11 or newer: install python3.11 with its venv module, then run make again." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "kafka_py needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: install python3-venv (Debian: apt-get install python3-venv), then run make again." >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null 2>&1 || { echo "kafka_py compiles its storage core and found no C compiler: install gcc (Debian: apt-get install gcc libc6-dev), then run make again." >&2; exit 1; }
	@[ -e "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || { echo "Python's header files are missing: install python3-dev (Debian: apt-get install python3-dev), then run make again." >&2; exit 1; }

$(VENV)/.base: pyproject.toml | check-tools
	@echo "==> environment in $(VENV)"
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check --upgrade pip setuptools wheel 'Cython>=3.1,<4'
	@$(PY) .ci/requirements.py > $(VENV)/base.txt && $(PY) -m pip install -q --disable-pip-version-check -r $(VENV)/base.txt
	@touch $@

# Extras are installed once each, on the first target that needs them.
$(VENV)/.extra-%: $(VENV)/.base
	@echo "==> packages for $*"
	@$(PY) .ci/requirements.py $* > $(VENV)/$*.txt && $(PY) -m pip install -q --disable-pip-version-check -r $(VENV)/$*.txt
	@touch $@

$(VENV)/.built: $(VENV)/.base $(BUILD_INPUTS)
	@$(PY) .ci/compile.py
	@touch $@

run: $(VENV)/.built $(VENV)/.extra-demo  ## set up, serve a node on 127.0.0.1:9092, load and read back 336,776 flights
	@exec $(PY) -m kafka_py.demo --port $(PORT) --data $(DATA)

test: $(VENV)/.built $(VENV)/.extra-test $(VENV)/.extra-lint lint  ## set up, then lint and run the tests
	@$(PY) -m pytest -q

lint: $(VENV)/.built $(VENV)/.extra-lint $(VENV)/.extra-test  ## ruff, mypy --strict, stubtest, import-linter
	@$(VENV)/bin/ruff check -q . && $(VENV)/bin/ruff format -q --check . && echo "ruff: clean"
	@$(PY) -m mypy --no-error-summary && echo "mypy: clean"
	@$(PY) -m mypy.stubtest kcore --allowlist .ci/stubtest-allowlist.txt --ignore-disjoint-bases >/tmp/kafka_py-stubtest.$$$$ 2>&1 || { cat /tmp/kafka_py-stubtest.$$$$; rm -f /tmp/kafka_py-stubtest.$$$$; exit 1; }; rm -f /tmp/kafka_py-stubtest.$$$$; echo "stubtest: clean"
	@$(VENV)/bin/lint-imports --no-cache --config pyproject.toml > /tmp/kafka_py-imports.$$$$ || { cat /tmp/kafka_py-imports.$$$$; rm -f /tmp/kafka_py-imports.$$$$; exit 1; }; rm -f /tmp/kafka_py-imports.$$$$; echo "import-linter: clean"

oracle: $(VENV)/.built $(VENV)/.extra-test  ## compare with Apache Kafka itself (Java 17, Maven)
	@$(PY) -m pytest -q tests/oracle

interop: $(VENV)/.built $(VENV)/.extra-test  ## real clients: librdkafka, kafka-python, aiokafka, kcat, Java, Go, Node
	@$(PY) -m pytest -q tests/interop

bench: $(VENV)/.built $(VENV)/.extra-test $(VENV)/.extra-bench  ## kcore and the node beside a warm Apache Kafka (about half an hour); bench/out/index.html
	@$(PY) -m pytest -q bench --benchmark-enable --benchmark-only --benchmark-json=bench/out/kcore.json --benchmark-columns=min,median,ops
	@# A bound that does not hold stops nothing: everything is measured and drawn, then make fails.
	@failed=0; for part in compare lag groups growth; do $(PY) -m bench.$$part || failed=1; done; \
	$(PY) -m bench.report bench/out/{results,lag,kcore}.json --out bench/out || failed=1; exit $$failed

bench-quick: $(VENV)/.built $(VENV)/.extra-test $(VENV)/.extra-bench  ## the node's cases without Apache, seconds each
	@$(PY) -m bench.compare --only-ours --seconds 1 --passes 1 --cold-memory

bench-once: $(VENV)/.built $(VENV)/.extra-test  ## every benchmark of kcore and the coordinators once, nothing measured: that they run
	@$(PY) -m pytest -q bench

asan: $(VENV)/.built $(VENV)/.extra-test  ## kcore's tests and the C consumers under AddressSanitizer and UBSan
	@$(PY) .ci/asan.py
	@command -v cmake >/dev/null 2>&1 || { echo "the C consumers are left out: no cmake here"; exit 0; }; \
	cmake --preset asan -DPython_EXECUTABLE=$(abspath $(PY)) >/dev/null && cmake --build --preset asan >/dev/null && ctest --preset asan

fuzz: $(VENV)/.built $(VENV)/.extra-test  ## fuzz the batch parser, the append, the LZ4 reader, the request decoders and the compiled group requests under ASan, SECONDS_EACH each
	@$(PY) .ci/asan.py --fuzz $(SECONDS_EACH)

crash: $(VENV)/.built $(VENV)/.extra-test  ## CYCLES of kill -9 under load, then with topics made anew, groups, power cuts; resumes, appends to the ledger
	@$(PY) -m tests.crash.kill --cycles $(CYCLES)
	@$(PY) -m tests.crash.churn --cycles $$(( $(CYCLES) / 2 ))
	@$(PY) -m tests.crash.groups --cycles $$(( $(CYCLES) / 2 ))
	@$(PY) -m tests.crash.power --cycles $$(( $(CYCLES) / 5 ))

ctest: $(VENV)/.built  ## the C API's consumers through CMake
	@cmake -S . -B build/cmake -DPython_EXECUTABLE=$(abspath $(PY)) > /dev/null && cmake --build build/cmake > /dev/null && cd build/cmake && ctest --output-on-failure

clean:  ## remove what was built (the environment and the data stay)
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache $(VENV)/.built
	@find kcore kafka_py -name '*.so' -delete
	@rm -f kafka_py/protocol/start_codecs.py
