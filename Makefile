# make demo   environment in .venv, then the whole chain on synthetic photographs
# make test   environment in .venv, then the tests
# make help   the other targets

PYTHON ?= python3
CORES ?= all
VENV ?= .venv
VENV_PYTHON = $(VENV)/bin/python
SNAKEMAKE = $(VENV_PYTHON) -m snakemake
DEMO = --configfile config/demo.yaml

.PHONY: help demo notebook pictures test torch plugins lint format docs documents lock clean

help:
	@echo "make demo       run the whole chain on synthetic photographs (CORES=$(CORES))"
	@echo "make notebook   open examples/inspect.ipynb, which looks into the demo's results"
	@echo "make test       run the tests (those against PyTorch skip without it)"
	@echo "make torch      add PyTorch, torchax and models in PyTorch to .venv, for the tests that use them"
	@echo "make plugins    add to .venv what not everybody needs: S3, Kubernetes, other schedulers, RO-Crate, DuckDB"
	@echo "make lint       ruff, mypy, import-linter, snakefmt and snakemake --lint"
	@echo "make format     format Python and Snakemake files"
	@echo "make docs       build the documentation with the reference as one site, build/site/index.html"
	@echo "make documents  generate config/README.md and config/schema.json"
	@echo "make pictures   make the README's pictures and the notebook's outputs anew from the demo (needs Chromium)"
	@echo "make lock       resolve requirements.lock anew (needs uv)"
	@echo "make clean      remove .venv and results of the demo"

$(VENV)/installed: requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "error: there is no $(PYTHON): install Python 3.11 or newer," \
	    "or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" tools/check_machine.py
	"$(PYTHON)" -m venv --clear $(VENV)
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --use-pep517 --require-hashes -r requirements.lock
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/installed
	$(SNAKEMAKE) --cores $(CORES) $(DEMO)
	$(SNAKEMAKE) --cores 1 $(DEMO) --quiet all --report results/demo/report.html
	@echo
	@echo "Open results/demo/index.html first: what came out, in sentences and figures."
	@echo "Then results/demo/explore.html: every image, to sort, filter and click."
	@echo "How all of it was made: results/demo/report.html"

notebook: $(VENV)/installed
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check jupyterlab==4.6.6
	.venv/bin/jupyter lab examples/inspect.ipynb

pictures: $(VENV)/installed
	$(VENV_PYTHON) tools/readme_pictures.py
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check jupyterlab==4.6.6
	.venv/bin/jupyter nbconvert --log-level WARN --to notebook --execute --inplace \
	    --ExecutePreprocessor.record_timing=False examples/inspect.ipynb

test: $(VENV)/installed
	$(VENV_PYTHON) -m pytest -n 2 --durations=15

# What depends most on the versions of packages; continuous integration runs it under the newest Python that there is.
test-versions: $(VENV)/installed
	$(VENV_PYTHON) -m pytest -n 2 -q tests/stores tests/config tests/machine tests/slug/test_library.py \
	    tests/slug/test_eigenbasis.py tests/networks/test_vae.py tests/figures

torch: $(VENV)/installed
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check torch==2.13.0 \
	    torchax==0.0.14.dev20261026 diffusers==0.42.1 monai==1.6.1 einops==0.8.2 curvlinops-for-pytorch==3.0.1
	# curvlinops brings it, nothing here uses it, and beside a torch of another build diffusers fails on it.
	$(VENV_PYTHON) -m pip uninstall --quiet --yes torchvision

# moto, with flask, is the tests' S3 server on loopback. botocore wants an older python-dateutil than the lock file's.
plugins: $(VENV)/installed
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check \
	    snakemake-storage-plugin-s3==0.3.6 s3fs==2026.9.0 "moto[s3]==5.2.5" flask==3.1.3 flask-cors==6.0.5 \
	    snakemake-executor-plugin-kubernetes==0.5.1 snakemake-executor-plugin-cluster-generic==1.0.9 rocrate==0.16.0 duckdb==2.0.1

lint: $(VENV)/installed
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(VENV_PYTHON) -m snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint $(DEMO)

format: $(VENV)/installed
	$(VENV_PYTHON) -m ruff check --fix
	$(VENV_PYTHON) -m ruff format
	$(VENV_PYTHON) -m snakefmt Snakefile workflow

docs: $(VENV)/installed
	$(VENV_PYTHON) tools/build_site.py

documents: $(VENV)/installed
	$(VENV_PYTHON) -m sluguq.config.documents
	$(VENV_PYTHON) tools/write_captions.py

# Without the old file, so that every Python gets the newest versions that it can have. Newer Pythons get newer ones.
lock:
	rm -f requirements.lock
	uv pip compile --universal --fork-strategy requires-python --python-version 3.11 --no-header \
	    --generate-hashes --quiet --extra workflow --extra test --extra docs --extra tables --extra formats pyproject.toml --output-file requirements.lock
	$(VENV_PYTHON) tools/pin_environments.py

clean:
	rm -rf .venv .snakemake .cache results/demo data/raw/phantom data/images/phantom-*
