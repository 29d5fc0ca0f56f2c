# Everything runs in an environment of its own, which the first target makes. The demo needs only
# what the exporter depends on: its environment is made in a quarter of the time.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# Tests wait more than they compute: two for each processor. Each begins with its own part of the
# tests, in order, so that what a module starts is started once, and takes over from others later.
PYTEST := -m pytest -n $(shell expr 2 '*' `nproc`) --dist=worksteal
DEMO := build/demo

.PHONY: help demo test quick coverage check lint types contracts format schema documents dashboard kubernetes \
	lock lowest newest deb deb-try systemd-try image-try \
	dist test-wheel \
	browser pictures e2e bench-walk bench-serve bench-accounts bench-shards try-install fault-matrix soak random-walks hostile fuzz

help:
	@echo "make demo        run the exporter on a simulated ScaleEngine account"
	@echo "make test        run the tests, but for make e2e and the slowest"
	@echo "make quick       run the tests that start no program and wait for nothing, in half a minute"
	@echo "make coverage    run the same tests, and fail if they cover too few branches"
	@echo "make check       lint, types, import contracts, then make test"
	@echo "make format      format the code and fix what lint can fix"
	@echo "make schema      write the JSON Schemas of the configuration and of the status"
	@echo "make documents   write the tables of the documents: keys, flags, metrics"
	@echo "make dashboard   write the dashboard for Grafana"
	@echo "make kubernetes  write the manifests that have their source elsewhere"
	@echo "make bench-walk  poll a tree of 100,000 files, and say what it took"
	@echo "make bench-serve scrape this exporter and others in turn, and say what it took"
	@echo "make bench-accounts  poll 1 to 5,000 accounts, and say what that costs; half an hour"
	@echo "make bench-shards  go from three shards to four under Prometheus; one minute"
	@echo "make e2e         prove the whole chain with a real Prometheus and Alertmanager"
	@echo "make browser     look at the status page with Chromium"
	@echo "make pictures    take the pictures of the status page for the documents"
	@echo "make deb         build a Debian package in dist/, for this release of Debian"
	@echo "make deb-try     build it, install it and purge it in a small Debian, as root"
	@echo "make systemd-try  run that package under a real systemd, as root; two minutes"
	@echo "make image-try   build the image and run the demo in it, without Docker, as root"
	@echo "make try-install install, upgrade and remove by the commands of docs/install.md; five minutes"
	@echo "make fault-matrix  try every fault, and print what came of it; one minute"
	@echo "make soak        poll for a month in ten minutes, with a fault one time in five"
	@echo "make random-walks  count random trees under random readings of the API's pages"
	@echo "make hostile     attack the exporter in 256 MB of memory, and say what each attack cost"
	@echo "make fuzz        check random inputs for ten minutes; ARGS=--seconds=60 for one"
	@echo "make lock        pin the newest dependencies, with their hashes"
	@echo "make lowest, make newest  install the oldest or the newest dependencies for make test"
	@echo "make dist        build and check the packages for an index, and their bill of materials"
	@echo "make test-wheel  run the tests of the source package on its wheel; ARGS=tests/web for some"

demo: $(DEMO)/ready
	@$(DEMO)/bin/python -m exporter demo

test: $(READY)
	$(BIN)/python $(PYTEST)

# One worker for each processor: these tests compute.
quick: $(READY)
	$(BIN)/python -m pytest -n auto --dist=worksteal $(addprefix tests/,config metrics simulator yamlfile)

coverage: $(READY)
	@$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: lint types contracts test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(READY)
	$(BIN)/python -m exporter.config
	$(BIN)/python -m exporter.web.status.json_document
	$(BIN)/python -m deploy.kubernetes.generate

documents: $(READY)
	$(BIN)/python -m tests.project.reference

dashboard: $(READY)
	$(BIN)/python -m monitoring.dashboard
	$(BIN)/python -m deploy.kubernetes.generate

kubernetes: $(READY)
	.ci/helm $(BIN)/python
	$(BIN)/python -m deploy.kubernetes.generate

bench-walk: $(READY)
	$(BIN)/python -m bench.walk

bench-serve: $(READY)
	$(BIN)/python -m bench.serve

bench-accounts: $(READY)
	$(BIN)/python -m bench.accounts $(ARGS)

bench-shards: $(READY)
	$(BIN)/python -m bench.shards

e2e: $(READY)
	$(BIN)/python -m pytest tests/e2e $(ARGS)

browser: $(READY)
	$(BIN)/python -m pytest tests/browser $(ARGS)

pictures: $(READY)
	$(BIN)/python -m tests.browser.pictures

try-install: $(READY)
	$(BIN)/python -m bench.install $(ARGS)

fault-matrix: $(READY)
	$(BIN)/python -m bench.faults

soak: $(READY)
	$(BIN)/python -m bench.soak

random-walks: $(READY)
	$(BIN)/python -m bench.random_walks $(ARGS)

fuzz: $(READY)
	$(BIN)/python -m bench.fuzz $(ARGS)

hostile: $(READY)
	$(BIN)/python -m bench.hostile $(ARGS)

COMPILE := $(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header

lock: $(READY)
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --group dev --constraints requirements.txt \
		--output-file requirements-dev.txt
	$(COMPILE) --group test --constraints requirements-dev.txt \
		--output-file .ci/requirements-test.txt
	$(COMPILE) pyproject.toml --resolution lowest-direct --output-file .ci/requirements-lowest.txt
	printf '%s\n' 'hatchling>=1.27' 'jinja2>=3.1.6' | $(COMPILE) --constraints requirements-dev.txt - \
		--output-file deploy/requirements-build.txt

# What the tests of these runs see; `make lock` and a new .venv lead back.
lowest: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes \
		--no-deps -r .ci/requirements-lowest.txt

newest: lock
	$(BIN)/pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes \
		-r requirements-dev.txt

# Built twice, to see that a second build has the same bytes.
dist: $(READY)
	@rm -rf dist build/again build/sbom.cdx.json
	@$(BIN)/python -m hatchling build -t sdist -t wheel -d dist
	@$(BIN)/python -m hatchling build -t sdist -t wheel -d build/again
	@for file in dist/*; do cmp $$file build/again/$${file#dist/} || exit 1; done
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/check-wheel-contents dist/*.whl
	@version=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py) && \
		sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml >build/pyproject.toml
	@$(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements --output-reproducible --pyproject build/pyproject.toml \
		--mc-type application --output-file build/sbom.cdx.json requirements.txt

test-wheel: dist
	deploy/test_wheel.sh $(BIN)/python $(ARGS)

image-try:
	deploy/try_image.sh

# For this release of Debian and this architecture.
deb: dist
	deploy/build_deb.sh dist/*.whl dist

deb-try: dist
	deploy/try_deb.sh dist/*.whl

systemd-try: dist
	deploy/try_systemd.sh dist/*.whl

$(READY): requirements-dev.txt pyproject.toml
	$(call make-environment,.venv)
	@$(BIN)/pip install --quiet --disable-pip-version-check --only-binary=:all: --require-hashes \
		-r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --no-index \
		--editable .
	@touch $(READY)

$(DEMO)/ready: requirements.txt
	$(call make-environment,$(DEMO))
	@$(DEMO)/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: \
		--require-hashes -r requirements.txt
	@touch $(DEMO)/ready

define make-environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Making the environment in $(1), once."
	@$(PYTHON) -m venv $(1) || \
		{ echo "Python's venv is needed: on Debian, apt-get install python3-venv" >&2; exit 1; }
endef
