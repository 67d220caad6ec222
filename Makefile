# Everything a newcomer needs: `make demo` and `make test`. Python 3.11 or newer is all they ask for.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
AZURITE := .clouds/node_modules/.bin/azurite-blob
FAKESNOW := .clouds/fakesnow/bin/python
BQEMULATOR := .clouds/bqemulator/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-clouds test-postgres test-snowflake test-redshift test-bigquery test-more test-daemon lint format bench bench-peers bench-crash bench-chaos clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## Make .venv with everything in it

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup  ## A Salesforce org on this machine becomes raw, silver and gold tables
	$(BIN)/python -m sf_assets.demo

dev: setup  ## The emulated org and the Dagster UI
	$(BIN)/python -m sf_assets.demo --ui

test: setup  ## All tests but those of the targets below
	$(BIN)/python -m pytest -n auto --dist worksteal

test-clouds: setup $(AZURITE) $(FAKESNOW) $(BQEMULATOR)  ## Storage, the main job, and pairs of storage and warehouse, as far as they can be had here
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'clouds or not clouds' \
		sf_assets_tests/storage sf_assets_tests/clouds

$(AZURITE):
	npm install --prefix .clouds --silent --no-audit --no-fund azurite@3.35.0 \
		|| echo "npm could not install Azurite: what is of Azure is skipped"

test-postgres: setup  ## The tests of the pipeline with all their tables in PostgreSQL
	$(BIN)/python -m pytest -n auto --dist worksteal --warehouse postgres sf_assets_tests/pipeline

test-snowflake: setup $(FAKESNOW)  ## Tables in an emulator of Snowflake: all engines' tests, and the pipeline's
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'clouds or not clouds' \
		sf_assets_tests/warehouse/test_conformance.py sf_assets_tests/warehouse/test_snowflake.py
	$(BIN)/python -m pytest -n auto --dist worksteal --warehouse snowflake \
		sf_assets_tests/pipeline/test_increments.py sf_assets_tests/pipeline/test_deletions.py

$(FAKESNOW):
	$(PYTHON) -m venv .clouds/fakesnow
	$(FAKESNOW) -m pip install --quiet 'fakesnow[server]==0.12.1' 'snowflake-connector-python[pandas]==4.8.1' \
		|| { echo "pip could not install fakesnow: what is of Snowflake is skipped"; rm -f $(FAKESNOW); }

test-redshift: setup  ## Tables in what stands for Redshift: all engines' tests, and the pipeline's
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'clouds or not clouds' -k 'not snowflake and not bigquery' \
		sf_assets_tests/warehouse/test_conformance.py sf_assets_tests/warehouse/test_redshift.py \
		sf_assets_tests/warehouse/test_redshift_server.py
	$(BIN)/python -m pytest -n auto --dist worksteal --warehouse redshift \
		sf_assets_tests/pipeline/test_increments.py sf_assets_tests/pipeline/test_deletions.py

test-bigquery: setup $(BQEMULATOR)  ## Tables in an emulator of BigQuery: all engines' tests, and the pipeline's
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'clouds or not clouds' -k bigquery \
		sf_assets_tests/warehouse/test_conformance.py sf_assets_tests/warehouse/test_bigquery.py
	$(BIN)/python -m pytest -n auto --dist worksteal --warehouse bigquery \
		sf_assets_tests/pipeline/test_increments.py sf_assets_tests/pipeline/test_deletions.py

$(BQEMULATOR):
	$(PYTHON) -m venv .clouds/bqemulator
	$(BQEMULATOR) -m pip install --quiet bqemulator==1.4.0 duckdb==2.0.1 numpy==2.4.6 \
		|| { echo "pip could not install bqemulator: what is of BigQuery is skipped"; rm -f $(BQEMULATOR); }

test-more: setup  ## What `make test` tries in a few ways, in more of them
	$(BIN)/python -m pytest -n auto --dist worksteal -m more

test-daemon: setup  ## A quarter of an hour of Dagster's daemon, whose schedules are waited for
	$(BIN)/python -m pytest -m long

lint: setup  ## Style, types, layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## Rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## Measure; results under bench/results/
	$(BIN)/python -m bench

bench-peers: setup  ## The same rows as Airbyte, Meltano and dlt read them
	$(BIN)/python -m bench.peers

bench-crash: setup  ## Kill the pipeline 200 times; every table must equal the org each time
	$(BIN)/python -m bench.crash

bench-chaos: setup  ## An hour of an org's life with faults in every twentieth answer
	$(BIN)/python -m bench.chaos

clean:  ## Remove what the demo and the benchmarks left
	rm -rf .demo .bench .peers
