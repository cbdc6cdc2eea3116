# Each command makes .venv and installs what it needs first.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test bench readme hooks clean

demo: .venv/installed ## run the main job: real digits, teacher, students, report in runs/digits
	pd_distill

test: .venv/installed ## pass the tests: notebooks, pytest, export, clean and README checks
	python tests/fresh.py
	nbdev-test --n_workers 2 --do_print
	pytest

bench: .venv/installed ## measure what the Learner and the sampler cost beside plain PyTorch
	python benchmarks/overhead.py

readme: .venv/installed ## make README.md from nbs/index.ipynb
	python nbs/make_readme.py

.venv/installed: settings.ini pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	if git rev-parse --git-dir > /dev/null 2>&1; then $(BIN)/nbdev-install-hooks; fi
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
