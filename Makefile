# make demo: train a small CryinGAN and see what it learnt; make test: everything is checked; make docs: the pages of
# docs/ as a site; make clean: undo all
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test docs clean

demo: .venv/installed
	$(BIN)/python train.py lambda=0.05 pooling=avg experiment=demo

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --nbmake -n 2 --dist worksteal --durations=10

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open site/index.html"

# torch comes first, so that no other package's wish brings another build of it
.venv/installed: setup.cfg pyproject.toml constraints.txt
	@echo "installing into .venv, once; this takes some minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,docs]"
	grep -qs GenuineIntel /proc/cpuinfo || $(BIN)/python -m cryingan.quick_mkl || true
	touch $@

clean:
	rm -rf .venv runs/demo site cryingan.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
