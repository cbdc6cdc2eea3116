# Each command makes .venv and installs what it needs first.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
RUN ?= runs/digits
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test site bench ablations readme hooks clean

demo: .venv/installed ## run the main job: real digits, teacher, students, report in runs/digits
	$(BIN)/pd_distill

test: .venv/installed ## pass the tests: notebooks, pytest, export, clean and README checks
	$(BIN)/python tests/fresh.py
	OMP_NUM_THREADS=1 $(BIN)/nbdev-test --n-workers 2 --do-print
	$(BIN)/pytest

site: .venv/installed $(RUN)/report.md ## build the site into _docs, with the networks of the run in RUN
	$(BIN)/python site/build.py --run $(RUN)

$(RUN)/report.md: | .venv/installed
	$(BIN)/pd_distill --out $(RUN)

bench: .venv/installed ## measure what the Learner and the sampler cost beside plain PyTorch
	$(BIN)/python benchmarks/performance.py

ablations: .venv/installed ## run every variant of teacher and stages, hours of one core, into benchmarks/ablations.jsonl; goes on where it was broken off
	$(BIN)/python benchmarks/ablations.py

readme: .venv/installed ## make README.md from nbs/index.ipynb
	$(BIN)/python nbs/make_readme.py

.venv/installed: settings.ini pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

hooks: .venv/installed ## nbdev's git and Jupyter hooks: clean notebooks, readable merges
	$(BIN)/nbdev-install-hooks

clean:
	rm -rf .venv _proc _docs build dist *.egg-info
