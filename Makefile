# Each verb sets everything up by itself; a machine needs only Python 3.11 to 3.13.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Two kernels run at once: one thread each. And the kernel of this environment.
export OMP_NUM_THREADS := 1
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: book test chapters bench pdf links lint clean

book: $(VENV)/.done  ## execute every chapter and build the site in _build/html
	$(BIN)/jupyter-book build --all -W --keep-going -n book/

test: $(VENV)/.done  ## every test: package, ledger, chapters, site
	$(BIN)/pytest --nbval book/ -n 2 --dist loadfile
	$(BIN)/pytest -n 2 --dist loadfile

chapters: $(VENV)/.done  ## bring each chapter's .md and .ipynb in step
	$(BIN)/python tools/chapters.py

bench: $(VENV)/.peers  ## time a training step beside other libraries; on a quiet machine
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.ensemble
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.evidence
	$(BIN)/python -m benchmarks.page

pdf: book  ## the whole book as one file, _build/pdf/book.pdf; needs Chromium
	$(BIN)/python tools/book_pdf.py

links: book  ## do the links to other sites work? needs a network
	$(BIN)/jupyter-book build --builder linkcheck book/

lint: $(VENV)/.done
	$(BIN)/ruff check

clean:
	rm -rf _build $(VENV)

$(VENV)/.done: requirements.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit('the book needs Python 3.11 or newer') if sys.version_info < (3, 11) else 0"
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.peers: benchmarks/requirements.txt $(VENV)/.done
	$(BIN)/python -m pip install --quiet -r benchmarks/requirements.txt
	touch $@
