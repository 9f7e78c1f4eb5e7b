# `make demo` and `make test` need Python 3.11 (or newer) and make; everything else lands in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
# A process of the tests takes about 3 GB.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); if [ $$n -lt 2 ]; then echo 2; elif [ $$n -gt 6 ]; then echo 6; else echo $$n; fi)
DEMO ?= demo$(if $(TASK),-$(TASK))$(if $(NETWORK),-$(NETWORK))
BIN := $(VENV)/bin
# A host with an NVIDIA GPU gets the CUDA build of tensorflow; every other host the CPU build at half the size.
GPU := $(wildcard /dev/nvidiactl)
TENSORFLOW := $(shell sed -n 's/^tensorflow_cpu==//p' requirements/toolchain.txt)

.DEFAULT_GOAL := help
# An interpreter for old devices needs an old numpy, so it lives in an environment of its own; see `make tflite-runtime`.
DEVICE_VENV ?= $(VENV)-tflite-runtime
export EDGECV_TFLITE_RUNTIME_PYTHON ?= $(abspath $(wildcard $(DEVICE_VENV)/bin/python))
# MediaPipe brings an OpenCV of its own, so it has its own environment; see `make mediapipe`.
MEDIAPIPE_VENV ?= $(VENV)-mediapipe
export EDGECV_MEDIAPIPE_PYTHON ?= $(abspath $(wildcard $(MEDIAPIPE_VENV)/bin/python))

# Browsers run npm's packages, which lie beside the environment; `edgecv.web.packages` finds them there.
export EDGECV_WEB ?= $(abspath $(VENV)-web)

.PHONY: help demo test test-flows test-slow test-matrix fuzz soak lint format docs swiftshader tflite-runtime mediapipe ethos-u search ci-schemas web web-wheel browsers sshd adb qemu arm clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

demo: $(VENV)/.toolchain ## a CNN on real digits through the whole flow, to demo/report.html; TASK=segmentation, NETWORK=lenet5
	$(BIN)/edgecv demo $(if $(TASK),--task $(TASK)) $(if $(NETWORK),--network $(NETWORK)) --out $(DEMO)

test: $(VENV)/.dev lint ## lint, types and every fast test (about 10 minutes on 2 cores); WORKERS= processes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not flow and not matrix and not soak"

test-slow: $(VENV)/.dev ## the tests that take minutes
	$(BIN)/python -m pytest -m "slow and not flow" --timeout=3000

test-flows: $(VENV)/.dev ## the demo, killed and started again, and the documents' commands in order (about 10 minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m flow

test-matrix: $(VENV)/.dev ## every network of the zoo to every scheme and format, at small input sizes (about two hours)
	$(BIN)/python -m pytest -m matrix

fuzz: $(VENV)/.dev ## 10,000 damaged files of every kind: nothing but edgecv's errors; goes on where it stopped; FILES=, SEED=
	$(BIN)/python -m tests.fuzz.fuzz --files $(or $(FILES),10000) --seed $(or $(SEED),0)

soak: $(VENV)/.dev ## half an hour of runtime, agent, bench over a link that is cut, full disks: no loss, no leak; SECONDS=
	EDGECV_SOAK_SECONDS=$(or $(SECONDS),1800) $(BIN)/python -m pytest -m soak -s

# Scripts import each other, as files of one folder, and tools that have no types or are not installed.
SCRIPTS := --explicit-package-bases --follow-imports=silent --ignore-missing-imports --allow-untyped-calls \
	--allow-subclassing-any --no-warn-return-any --no-warn-unused-ignores

lint: $(VENV)/.dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=benchmarks:. $(BIN)/mypy $(SCRIPTS) benchmarks/*.py

format: $(VENV)/.dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

swiftshader: ## a software Vulkan driver (Debian's chromium brings it), so that the real GPU accelerator runs without a GPU
	@ls /usr/lib/chromium/vk_swiftshader_icd.json >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }
	@echo "SwiftShader: /usr/lib/chromium/vk_swiftshader_icd.json"

tflite-runtime: $(VENV)/bin/python ## an environment with tflite-runtime, so that tests run artifacts on it as old devices do
	@test -f $(DEVICE_VENV)/.installed || { rm -rf $(DEVICE_VENV) && "$(PYTHON)" -m venv $(DEVICE_VENV) \
	  && $(DEVICE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/tflite-runtime.txt \
	  && touch $(DEVICE_VENV)/.installed; }

mediapipe: $(VENV)/bin/python ## an environment with MediaPipe Tasks, for `edgecv verify --as mediapipe` and its tests
	@test -f $(MEDIAPIPE_VENV)/.installed || { rm -rf $(MEDIAPIPE_VENV) && "$(PYTHON)" -m venv $(MEDIAPIPE_VENV) \
	  && $(MEDIAPIPE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/mediapipe.txt \
	  && touch $(MEDIAPIPE_VENV)/.installed; }

ethos-u: $(VENV)/.toolchain ## Arm's Vela, so that Ethos-U targets are judged by the real compiler
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/ethos-u.txt
	@echo "Vela: $$($(BIN)/vela --version)"

search: $(VENV)/.toolchain ## Optuna and dask.distributed, so that searches are tested with both
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/search.txt

ci-schemas: $(VENV)/.dev ## the published schemas of GitHub's and GitLab's files, which action.yml and docs/ci.md are held to
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/ci-schemas.txt

web: ## LiteRT.js and onnxruntime-web from npm, so that browsers are devices: into .venv-web, or EDGECV_WEB=
	@command -v npm >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends npm; }
	@cmp -s edgecv/web/npm/package-lock.json "$(EDGECV_WEB)/.installed" || { mkdir -p "$(EDGECV_WEB)" \
	  && cp edgecv/web/npm/package.json edgecv/web/npm/package-lock.json "$(EDGECV_WEB)/" \
	  && npm ci --prefix "$(EDGECV_WEB)" --ignore-scripts --no-audit --no-fund --silent \
	  && cp edgecv/web/npm/package-lock.json "$(EDGECV_WEB)/.installed"; }
	@echo "browser scripts: $(EDGECV_WEB)"

web-wheel: $(VENV)/.dev web ## those as a wheel, dist/edgecv_web-….whl, for machines without npm: pip install it beside edgecv
	$(BIN)/python -m build --wheel --no-isolation --outdir dist edgecv-web

browsers: ## Debian's Chromium and Firefox, so that the tests run models in both
	@{ command -v chromium && command -v firefox-esr; } >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium firefox-esr; }

docs: $(VENV)/.dev ## the documentation as a site, in site/: links are checked, search works without a network
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/docs.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

sshd: ## OpenSSH's server and client, so that the tests reach a device by ssh on the loopback
	@test -x /usr/sbin/sshd && command -v ssh >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-server openssh-client; }

adb: ## the adb client, so that the tests reach a device by adb's own protocol
	@command -v adb >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends adb; }

qemu: ## what emulated Arm devices are made with
	@{ command -v qemu-aarch64-static && command -v debootstrap && command -v fakeroot; } >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends qemu-user-static debootstrap fakeroot; }

arm: qemu $(VENV)/.toolchain ## emulated 64-bit and 32-bit Arm devices: the real Arm kernels without a board (downloads 130 MB)
	$(BIN)/edgecv device setup arm64
	$(BIN)/edgecv device setup armv7

clean: ## remove the demo's output and caches, not the environment
	rm -rf demo demo-* site fuzz-findings .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "error: no python3 found; install Python 3.11 or newer" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: edgecv's toolchain needs Python 3.11 or newer, and $(PYTHON) is older; try: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "error: $(PYTHON) cannot create environments; on Debian: apt-get install python3-venv" >&2; exit 2; }

# The stamp is written last, so an interrupted install is done again.
$(VENV)/.toolchain: requirements/toolchain.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/toolchain.txt
ifneq ($(GPU),)
	$(BIN)/python -m pip uninstall --quiet --yes tensorflow-cpu
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "tensorflow[and-cuda]==$(TENSORFLOW)"
endif
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.toolchain
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/dev.txt
	@touch $@
