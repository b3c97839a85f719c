# Everything is made in .venv, from the locks in requirements/; nothing else on the machine is touched.
# PYTHON=… chooses the interpreter; LONGRUN_… settings are passed on: make run LONGRUN_PORT=8010
# Containers need Docker alone: TAG=… chooses the tag of the images.

VENV = .venv
BIN = $(VENV)/bin
PACKAGES = libs/jobcore libs/longrun libs/longrun-client libs/longrun-local \
    services/api services/worker services/scraper-worker
PROJECTS = $(PACKAGES:=/pyproject.toml)
SOURCES = $(wildcard $(PACKAGES:=/src))
RUN = $(VENV)/.installed-run
TEST = $(VENV)/.installed-test

# Three files at a time on two cores, because tests wait more than they compute; in the order given, the longest first.
PYTEST = $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(if $(THOROUGH),--thorough)
UNIT = $(PYTEST) tests/unit tests/integration/store
OTHERS = $(PYTEST) tests/fault tests/stock tests/integration tests/conformance tests/clients tests/docs tests/chart --ignore tests/integration/store

IMAGES = api worker scraper-worker
TAG = dev
MINUTES = 20
# The first docker on the PATH that has BuildKit, with whatever plugins it needs.
DOCKER = $(or $(shell for docker in $$(which -a docker 2>/dev/null); do \
    DOCKER_BUILDKIT=1 $$docker build --help >/dev/null 2>&1 && echo $$docker && break; done),docker)
CONTOUR = https://raw.githubusercontent.com/projectcontour/contour/v1.33.0/examples/render/contour.yaml
COMPOSE = $(if $(shell docker compose version 2>/dev/null),docker compose,docker-compose)

.PHONY: help run demo test thorough unit lint format pages screenshots hooks lock version dist bench chaos clients clean images up down dev \
    kind-up compose e2e e2e-next

help: ## List these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

run: $(RUN) ## Start all of Longrun here: PostgreSQL, Valkey, API, workers; TASKS=tasks.py adds yours; Ctrl-C stops it
	@$(BIN)/longrun $(if $(TASKS),dev $(TASKS),run-local)

demo: $(RUN) ## Scrape a small site served from here, with `make run` in another terminal
	@$(BIN)/longrun demo

test: lint ## Lint, then every test that runs on this machine
	status=0; $(UNIT) || status=1; $(OTHERS) || status=1; exit $$status

thorough: ## `make test` with every case of every kind
	@$(MAKE) test THOROUGH=1

unit: $(TEST) ## The tests that start no process of Longrun (unit, store), and how much of the code they cover
	$(UNIT) --cov --cov-report=term

lint: $(TEST) ## Style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES) tests bench examples
	$(BIN)/lint-imports

format: $(TEST) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pages: $(TEST) ## Write the generated pages anew: the settings, the chart's values, the schema
	@$(BIN)/python -m tests.settings_page >docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	@$(BIN)/python -m tests.chart.values_page
	@$(BIN)/python -m tests.schema_page >docs/schema.sql.new && mv docs/schema.sql.new docs/schema.sql

screenshots: $(TEST) ## Take the pictures of the console in docs/images anew; needs Chromium
	@$(BIN)/python -m tests.screenshots

hooks: $(TEST) ## Install the git hooks of .pre-commit-config.yaml
	$(BIN)/prek install

lock: $(TEST) ## Write the locks anew from the pyproject.toml files
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/compile

version: $(TEST) ## Write the version in VERSION into each package, the chart and the docs
	$(BIN)/python -m tests.packages version

dist: $(TEST) ## Build the source distribution and the wheel of each package, in dist/
	@$(BIN)/python -m tests.packages dist

bench: $(TEST) ## Measure this machine
	$(BIN)/python -m bench

chaos: $(TEST) ## Raise a storm of faults over a mixed load for MINUTES=20 (SEED=… replays one) and print a scorecard
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

images: ## Build the container images longrun/api, longrun/worker, longrun/scraper-worker with the tag TAG=dev
	@set -e; export DOCKER_BUILDKIT=1; for image in $(IMAGES); do \
	    $(DOCKER) build --quiet --target $$image --tag longrun/$$image:$(TAG) \
	        --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) .; \
	done

clients: $(TEST) ## Generate clients in Python, TypeScript, Go and Java from the OpenAPI document, compile and try them
	LONGRUN_CLIENTS_INSTALL=1 $(BIN)/pytest tests/clients --timeout 900

compose: $(TEST) ## Test docker-compose.yml on the container engine here, with the images TAG=dev
	LONGRUN_COMPOSE_TAG=$(TAG) $(BIN)/pytest tests/compose

e2e: $(TEST) ## Install the chart into the cluster of KUBECONFIG and test it there, with the images TAG=dev
	LONGRUN_E2E_TAG=$(TAG) $(BIN)/pytest tests/e2e --timeout 300

e2e-next: images ## Build the images of a make-believe next version, with the tag TAG-next, for upgrade tests
	@set -e; export DOCKER_BUILDKIT=1; for image in $(IMAGES); do \
	    $(DOCKER) build --quiet --build-arg IMAGE=longrun/$$image:$(TAG) --tag longrun/$$image:$(TAG)-next tests/e2e/next; \
	done

up: images ## Start Longrun in containers, on http://127.0.0.1:8000; Jaeger is on http://127.0.0.1:16686
	@LONGRUN_TAG=$(TAG) $(COMPOSE) up --detach --wait

down: ## Stop those containers; their data stays, in volumes
	@LONGRUN_TAG=$(TAG) $(COMPOSE) --profile '*' down

dev: ## Develop on the current cluster (kind, minikube, …): each code change is running in its pods within seconds
	skaffold dev --no-prune # its pruning also takes the images of `make images`

kind-up: images ## Make a kind cluster with all of Longrun in it, on http://longrun.localhost
	kind get clusters | grep -qx longrun || kind create cluster --config k8s/kind.yaml
	kind load docker-image --name longrun $(IMAGES:%=longrun/%:$(TAG))
	kubectl --context kind-longrun apply --filename $(CONTOUR)
	kubectl --context kind-longrun --namespace projectcontour rollout status daemonset/envoy --timeout 5m
	kubectl --context kind-longrun apply --filename k8s/namespace.yaml
	helm --kube-context kind-longrun --namespace longrun upgrade --install longrun charts/longrun \
	    --values k8s/values-kind.yaml --set global.image.tag=$(TAG) --wait --timeout 5m

clean: ## Remove what was installed and cached; the data in .longrun stays
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find $(PACKAGES) tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements/run.lock $(PROJECTS)
$(TEST): requirements/test.lock $(PROJECTS)

# A .venv that was left half-made (.installing) is made anew; one that is whole is only brought up to date.
$(RUN) $(TEST):
	@set -e; \
	say() { echo "longrun: $$*"; }; \
	is_new_enough() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
	lock=requirements/$(patsubst .installed-%,%,$(@F)).lock; \
	if [ -e $(VENV)/.installing ] || ! is_new_enough $(BIN)/python; then \
	    python=; \
	    for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	        if is_new_enough "$$candidate"; then python=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$python" ]; then \
	        wanted=$(or $(PYTHON),python3); \
	        say "Python 3.11 or newer is needed; here is $$($$wanted --version 2>/dev/null || echo no $$wanted)."; \
	        say "Install one (python.org, or your package manager)"; \
	        say "and name it if it is not on the PATH: make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python3.13"; \
	        exit 1; \
	    fi; \
	    say "making $(VENV) with $$($$python --version)"; \
	    mkdir -p $(VENV) && touch $(VENV)/.installing; \
	    "$$python" -m venv --clear $(VENV) || { \
	        say "$$python cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv"; exit 1; }; \
	fi; \
	touch $(VENV)/.installing; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip; \
	say "installing $$lock (a minute or two the first time)"; \
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r $$lock; \
	say "installing the packages of this folder"; \
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation $(PACKAGES:%=-e %); \
	rm $(VENV)/.installing; \
	touch $@
