# `make help` lists the targets. Everything is made below .venv/, var/ and the user's cache; a second run starts at once.
# `exec`, so that a signal to make reaches the program and not a shell in between.
.DEFAULT_GOAL := help
.PHONY: help setup texts run test test-all test-fast coverage check fix imports bench bench-analytics bench-api drill simulate-day simulate-sources drill-backup clean servers drill-rollover drill-feed drill-galera drill-ha drill-kafka drill-upgrade drill-containers screenshots terminals clients-matrix test-sqlite test-mariadb test-postgresql

# Images set it to stay small. Here hundreds of processes are started, each of which would compile all of Naru again.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
SCRIPTS = $(shell grep -rlE '^\#!/(usr/)?bin/(env )?(ba|da)?sh' .ci docker requirements)
PY   := $(VENV)/bin/python
PIP  := $(PY) -m pip install -qq --disable-pip-version-check
# The suites that touch a database: run once more for each server.
SUITES = $(wildcard tests/contract tests/integration tests/e2e)

REPLAY  ?=
SPEED   ?= 60
LOOP    ?=
PORT    ?= 8000
KILLS   ?= 25
ROWS    ?= 1000000
MINUTES ?= 60
HISTORY ?=
SECONDS ?=
ONLY    ?=
JOBS    ?= 2
ARGS    ?=

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

setup: $(VENV)/dev servers  ## the environment for development and the private servers, without starting anything

run: $(VENV)/embedded  ## everything, locally; PORT=8000; REPLAY=trades.csv instead of the simulated market, SPEED=60, LOOP=1
	@exec $(PY) manage.py runall --port $(PORT) $(if $(REPLAY),--replay "$(REPLAY)" --speed $(SPEED) $(if $(LOOP),--loop))

# At the same time: alone, each suite leaves a core idle while its tests wait. What a suite says comes when it has ended.
test: $(VENV)/dev servers  ## every test on SQLite with Valkey, what touches a database on MariaDB and PostgreSQL with Redis, too; ARGS="-k name"
	@$(MAKE) --no-print-directory -k -j3 --output-sync=target test-sqlite test-mariadb test-postgresql

test-sqlite: $(VENV)/dev servers  ## the part of `make test` on SQLite; test-mariadb and test-postgresql are the others
	@NARU_REQUIRE_SERVERS=1 DB=sqlite exec $(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

# Status 5: ARGS chose none of theirs. The shell has something to do afterwards, so it hands on what ends it.
test-mariadb test-postgresql: test-%: $(VENV)/dev servers
	@NARU_REQUIRE_SERVERS=1 DB=$* $(PY) -m pytest -n $(JOBS) --dist loadfile $(SUITES) $(ARGS) & child=$$!; \
	trap 'kill $$child; wait $$child; exit 143' INT TERM; wait $$child || [ $$? -eq 5 ]

test-all: $(VENV)/dev servers  ## as test, then short drills, that of failovers as root; DB=mariadb (postgresql) runs the whole suite on that one alone
ifdef DB
	@NARU_REQUIRE_SERVERS=1 $(PY) -m pytest $(ARGS)
else
	@$(MAKE) --no-print-directory test drill KILLS=3
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory drill-ha FAILOVERS=5; \
	else echo "drill-ha left out: only root may make hosts of their own"; fi
endif

# Each drill in its short form, as a night has room for all of them.
define NIGHTLY
drill KILLS=5
drill KILLS=3 DB=postgresql
drill KILLS=3 DB=galera
drill-feed SOCKETS=20 MESSAGES=5000
drill-rollover ROWS=100000
drill-rollover ROWS=50000 DB=galera
drill-galera DAYS=3 GALERA_ROWS=1000
drill-backup
drill-kafka BROKER_AWAY=30
drill-upgrade
drill-ha FAILOVERS=5 DB=galera
drill-ha FAILOVERS=4 DB=postgresql
drill-containers
endef
export NIGHTLY
.PHONY: nightly
nightly: $(VENV)/dev servers  ## every drill in its short form, one after the other, whatever the one before came to; those of hosts and containers as root alone, the latter with an engine
	@printf '%s\n' "$$NIGHTLY" | { failed=0; while read -r words; do \
	echo "=== make $$words"; \
	if [ "$${words%% *}" = drill-ha ] && [ "$$(id -u)" != 0 ]; then outcome="left out: only root may make hosts of their own"; \
	elif [ "$${words%% *}" = drill-containers ] && { [ "$$(id -u)" != 0 ] || ! docker version >/dev/null 2>&1; }; then \
	outcome="left out: it wants root and a Docker engine"; \
	elif $(MAKE) --no-print-directory $$words </dev/null; then outcome=passed; \
	else outcome="FAILED, status $$?"; failed=1; fi; \
	told="$${told:-}$$(printf '%-40s %s' "$$words" "$$outcome")\n"; \
	done; printf "\n=== what the night came to\n$$told"; exit $$failed; }

test-fast: $(VENV)/dev  ## the unit tests: no server, no network; JOBS=2
	@$(PY) -m pytest -n $(JOBS) --dist worksteal tests/unit $(ARGS)

clients-matrix: $(VENV)/dev servers  ## writes into docs/clients.md what each method of the official clients does here
	@WRITE_CLIENTS_MATRIX=1 NARU_REQUIRE_SERVERS=1 DB=sqlite exec $(PY) -m pytest -q tests/integration/test_clients.py

coverage: $(VENV)/dev  ## the unit tests with a count of what they walk through; fails below the floor of pyproject.toml
	@$(PY) -m coverage erase
	@$(PY) -m coverage run -m pytest -q -n $(JOBS) --dist worksteal tests/unit $(ARGS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report

check: $(VENV)/dev  ## format, lint, types, layers, migrations, Django's own checks, shell scripts, images, manifests
	@status=0; \
	$(PY) -m ruff check . || status=1; \
	$(PY) -m ruff format --check . || status=1; \
	$(PY) -m mypy || status=1; \
	$(VENV)/bin/lint-imports || status=1; \
	$(PY) manage.py makemigrations --check --dry-run || status=1; \
	$(PY) manage.py check --fail-level WARNING || status=1; \
	$(VENV)/bin/shellcheck $(SCRIPTS) || status=1; \
	$(VENV)/bin/hadolint $(wildcard docker/Dockerfile docker/*/Dockerfile) || status=1; \
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec $(wildcard docker/compose*.yaml) || status=1; \
	$(PY) -m tests.manifests || status=1; \
	exit $$status

# The compiled catalogues are kept in the repository, so that a machine without GNU gettext needs nothing.
texts: $(VENV)/dev  ## collect the texts of the code (with GNU gettext) and compile the Korean catalogues
	@if command -v xgettext >/dev/null; then \
	$(PY) manage.py makemessages --locale ko --no-location --no-obsolete --ignore .venv --ignore tests; \
	$(PY) manage.py makemessages --domain djangojs --locale ko --no-location --no-obsolete --ignore .venv --ignore vendor; \
	else echo "GNU gettext is not installed: compiled only"; fi
	@$(PY) -c 'import pathlib, polib; [polib.pofile(str(one)).save_as_mofile(str(one.with_suffix(".mo"))) \
	for folder in ("locale", "terminals/locale") for one in pathlib.Path(folder).rglob("*.po")]'

fix: $(VENV)/dev  ## format, and repair what can be
	@$(PY) -m ruff check --fix --show-fixes .
	@$(PY) -m ruff format .

imports: $(VENV)/dev  ## who may import whom, and whether they keep to it
	@$(VENV)/bin/lint-imports --verbose

screenshots: $(VENV)/dev  ## the pictures of README from what runs at ADDRESS=http://127.0.0.1:8000; ONLY=replay; LOGIN=name:password in the environment
	@exec $(PY) -m tests.screenshots $(if $(ADDRESS),--address $(ADDRESS)) $(if $(ONLY),--only $(ONLY))

terminals:  ## the one folder for a dealing-room PC as a zip, with examples and how to install it, in var/
	@python3 docker/terminals/make_zip.py var

bench: $(VENV)/bench servers  ## the numbers we quote, into docs/benchmarks.md; SECONDS=20 shortens it, ONLY=peers shows one part
	@exec $(PY) -m tests.bench $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only $(ONLY))

bench-api: $(VENV)/bench servers  ## what the serving side costs and serves, into docs/benchmarks-api.md; SECONDS=1 shortens it
	@exec $(PY) -m tests.bench.api $(if $(SECONDS),--seconds $(SECONDS))

bench-analytics: $(VENV)/dev servers  ## indicators, candles, statistics by workers, alerts; into docs/benchmarks-analytics.md
	@exec $(PY) -m tests.bench.analytics

.PHONY: bench-scale bench-traces soak
bench-scale: $(VENV)/dev servers  ## more workers, servers, rows, sockets, symbols; into docs/benchmarks-scale.md and docs/capacity.md; HISTORY=50000000, ONLY=roads
	@exec $(PY) -m tests.bench.scale $(if $(SECONDS),--seconds $(SECONDS)) $(if $(HISTORY),--history $(HISTORY)) $(if $(DB),--database $(DB)) $(if $(ONLY),--only $(ONLY))

bench-traces: $(VENV)/dev servers  ## what spans for OpenTelemetry cost, off and on in turns; SECONDS=15
	@exec $(PY) -m tests.bench.traces $(if $(SECONDS),--seconds $(SECONDS))

soak: $(VENV)/dev servers  ## everything under a steady load for MINUTES=60, and whether a process grows; DB=postgresql
	@exec $(PY) -m tests.soak --minutes $(MINUTES) --database $(or $(DB),mariadb)

drill: $(VENV)/dev servers  ## kill anything at random under load, then account for every row; KILLS=25 DB=postgresql or galera
	@exec $(PY) -m tests.drill --kills $(KILLS) --database $(or $(DB),mariadb)

simulate-day: $(VENV)/dev servers  ## a compressed day of KIS, faults on, through the whole stack on MariaDB; TRADES=1200000
	@exec $(PY) -m tests.simulated_day $(if $(TRADES),--trades $(TRADES))

simulate-sources: $(VENV)/dev servers  ## KIS, Infomax and Bloomberg at once, terminals killed meanwhile, then everything accounted for; SECONDS=60 DB=postgresql
	@exec $(PY) -m tests.simulated_day.sources --database $(or $(DB),mariadb) $(if $(SECONDS),--seconds $(SECONDS))

drill-backup: $(VENV)/dev servers  ## a full backup and three increments under load, each restored and compared, here and from another place alone
	@exec $(PY) -m tests.drill.backup

drill-rollover: $(VENV)/dev servers  ## kill runner and database while a day of ROWS=1000000 ticks goes to history; DB=postgresql or galera
	@exec $(PY) -m tests.drill.rollover --rows $(ROWS) --database $(or $(DB),mariadb)

drill-kafka: $(VENV)/dev servers  ## a broker of Kafka's protocol is away while the market goes on; BROKER_AWAY=600 (seconds) DB=postgresql
	@exec $(PY) -m tests.drill.kafka --database $(or $(DB),mariadb) --away $(or $(BROKER_AWAY),60)

drill-galera: $(VENV)/dev servers  ## days go to history on three nodes of Galera that stand still again and again; DAYS=15 GALERA_ROWS=4000
	@exec $(PY) -m tests.drill.galera --days $(or $(DAYS),15) --rows $(or $(GALERA_ROWS),4000)

drill-ha: $(VENV)/dev servers  ## 30 failovers of database, address, Redis and ingest hosts under load, each host a namespace (root); FAILOVERS=5 DB=postgresql (a pair)
	@exec $(PY) -m tests.drill.ha --failovers $(or $(FAILOVERS),30) --database $(or $(DB),galera)

drill-upgrade: $(VENV)/dev servers  ## upgrade a running stack under load from an older commit, then account for every row; FROM=abc123 DB=postgresql
	@exec $(PY) -m tests.drill.upgrade --database $(or $(DB),mariadb) $(if $(FROM),--from $(FROM))

drill-containers: $(VENV)/dev  ## build docker/, bring PROFILE=single or ha up, kill its containers under load, account for every row (root, a Docker engine); BASE=image
	@exec $(PY) -m tests.drill.containers --profile $(or $(PROFILE),single)

drill-feed: $(VENV)/dev servers  ## subscribers while web servers, Redis and connections are killed; SOCKETS=200 MESSAGES=100000 DB=postgresql
	@exec $(PY) -m tests.drill.feed --sockets $(or $(SOCKETS),200) --messages $(or $(MESSAGES),100000) --database $(or $(DB),mariadb)

clean:  ## remove what the tools made; var/ (your data) and the cache stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

# What is installed, with the file's own name as the stamp.
$(VENV)/made: requirements/make-venv requirements/tools.lock
	@echo "1/2 파이썬 가상환경 / virtual environment"
	@requirements/make-venv $(VENV)
	@touch $@

$(VENV)/embedded: $(VENV)/made requirements/embedded.lock
	@echo "2/2 패키지 설치, 처음 한 번 1분 안팎 / installing packages, once, about a minute"
	@$(PIP) --require-hashes --prefer-binary -r requirements/embedded.lock
	@touch $@

$(VENV)/dev: $(VENV)/embedded requirements/dev.lock
	@echo "개발 도구 설치 / installing the development tools"
	@$(PIP) --require-hashes --prefer-binary -r requirements/dev.lock
	@touch $@

$(VENV)/bench: $(VENV)/dev requirements/bench.lock
	@echo "비교 대상 설치 / installing what the benchmarks compare with"
	@$(PIP) --require-hashes --prefer-binary -r requirements/bench.lock
	@touch $@

# Asked every time: it takes a moment, and the cache may have been emptied since.
servers: $(VENV)/dev
	@$(PY) -m tests.servers ready
	@$(PY) -m tests.clients
