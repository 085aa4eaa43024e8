PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1

.PHONY: demo test faults lint gen bench serve

demo: $(VENV)/.ready
	$(BIN)/drift-monitor demo

# One more than the cores of a small machine, for many tests wait for servers. With two more, none of them idle, it takes as long.
test: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

# Two replicas on a real PostgreSQL, with faults, in small; the whole of it is benchmarks/faults.py.
faults: $(VENV)/.ready
	$(BIN)/python benchmarks/faults.py --quick

lint: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	.ci/audit $(BIN)

gen: $(VENV)/.ready
	$(BIN)/drift-monitor schema > docs/drift-monitor.schema.json
	$(BIN)/python dashboards/build.py
	$(BIN)/python docs/metrics_page.py
	cp docs/runbooks.md monitor/pages/templates/runbooks.md
	$(BIN)/python alerts/grafana.py
	$(BIN)/python helm/chart_files.py
	$(BIN)/python docs/licences.py

bench: $(VENV)/.ready
	set -e; for script in $(shell grep -lE "^(import|from) results_file" benchmarks/*.py); do $(BIN)/python $$script $(ARGS); done

serve: $(VENV)/.ready
	$(BIN)/drift-monitor serve

# torch first and pinned: resolved later, pip would take the newest build with gigabytes of CUDA. The rest by uv, in a quarter of the
# time; where it cannot reach what pip is set up to reach, by pip.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt uv
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[offline,postgres,s3,dev]' || $(BIN)/pip install -q -c constraints.txt -e '.[offline,postgres,s3,dev]'
	$(BIN)/python -m compileall -q monitor # the tests start hundreds of processes, and some environments keep no bytecode
	touch $@
