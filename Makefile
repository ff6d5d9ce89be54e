# Two commands: `make demo` trains a generated project, `make test` checks everything quick.
PYTHON ?= python3
STEPS ?=
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint matrix cluster deepspeed xla storm benchmark peers square examples clean

# torch comes first and pinned: what is installed after it then takes it as it is.
.venv/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

# Made anew only where the templates are newer; else the training goes on where it was.
demo/train.py: .venv/.ready $(shell find templates -type f -not -name '*.pyc')
	rm -rf demo
	$(BIN)/litgen new demo -y

demo: demo/train.py
	OMP_NUM_THREADS=$$(nproc) $(BIN)/python tests/demo.py demo $(STEPS)

test: lint
	$(BIN)/python -m pytest -n 2

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/black -q --check .
	$(BIN)/mypy --strict generator
	$(BIN)/mypy runtime

matrix: .venv/.ready
	$(BIN)/python -m pytest -n 2 -m slow

# Launchers under their engines: a SLURM of two nodes on this machine, from Debian's packages, which
# are fetched into .slurm/; torchrun on this machine and, as root, on two network namespaces; Open MPI
# and buildah, where they are installed; the published schemas of Kubernetes; SkyPilot's own
# loader; a Ray of this machine alone.
cluster: .venv/.ready .venv-sky/.ready .venv-ray/.ready
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,cluster]'
	$(BIN)/python -m pytest tests/cluster -m cluster

# SkyPilot and Ray, which bring many packages of their own, in environments of their own.
.venv-sky/.ready: tests/cluster/skypilot.txt
	test -x .venv-sky/bin/python || $(PYTHON) -m venv .venv-sky
	.venv-sky/bin/python -m pip install -q -r tests/cluster/skypilot.txt
	touch $@

.venv-ray/.ready: tests/cluster/ray.txt constraints.txt
	test -x .venv-ray/bin/python || $(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install -q -c constraints.txt torch
	.venv-ray/bin/python -m pip install -q -c constraints.txt -r tests/cluster/ray.txt
	touch $@

storm: .venv/.ready
	KILLS=100 $(BIN)/python -m pytest -n 2 tests/runtime/test_checkpoint.py -k killed
	KILLS=all $(BIN)/python -m pytest -n 2 tests/test_transaction.py

benchmark: .venv/.ready
	$(BIN)/python tests/benchmarks/startup.py
	$(BIN)/python tests/benchmarks/step.py --rounds 50 --steps 100
	$(BIN)/python tests/benchmarks/step.py --rounds 50 --steps 50 --strategy ddp
	$(BIN)/python tests/benchmarks/step.py --rounds 20 --steps 20 --strategy fsdp
	$(BIN)/python tests/benchmarks/checkpoint.py
	$(BIN)/python tests/benchmarks/resume.py
	$(BIN)/python tests/benchmarks/codemods.py
	$(BIN)/python tests/benchmarks/edit.py

# The libraries that do for training what litgen's projects do, in an environment of their own.
.venv-peers/.ready: pyproject.toml constraints.txt tests/benchmarks/peers.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q -c constraints.txt torch
	.venv-peers/bin/python -m pip install -q -c constraints.txt -e . -r tests/benchmarks/peers.txt
	touch $@

peers: .venv-peers/.ready
	.venv-peers/bin/python tests/benchmarks/right.py
	.venv-peers/bin/python tests/benchmarks/peers.py

# Projects under DeepSpeed. It has no wheels, and is built beside the torch that is there.
.venv-deepspeed/.ready: pyproject.toml constraints.txt tests/zero/packages.txt
	test -x .venv-deepspeed/bin/python || $(PYTHON) -m venv .venv-deepspeed
	.venv-deepspeed/bin/python -m pip install -q -c constraints.txt torch setuptools wheel
	.venv-deepspeed/bin/python -m pip install -q -c constraints.txt -e '.[dev]'
	.venv-deepspeed/bin/python -m pip install -q -c constraints.txt --no-build-isolation -r tests/zero/packages.txt
	touch $@

deepspeed: .venv-deepspeed/.ready
	.venv-deepspeed/bin/python -m pytest tests/zero -m deepspeed

# The strategy xla, on the CPU: torch_xla loads beside torch 2.9.0 alone (4 GB to fetch, 7 GB on disk).
.venv-xla/.ready: pyproject.toml constraints.txt tests/xla/requirements.txt
	test -x .venv-xla/bin/python || $(PYTHON) -m venv .venv-xla
	grep -v '^torch' constraints.txt > .venv-xla/constraints.txt
	.venv-xla/bin/python -m pip install -q -c .venv-xla/constraints.txt -r tests/xla/requirements.txt -e .
	touch $@

xla: .venv-xla/.ready
	.venv-xla/bin/python -m pytest tests/xla -m xla

# Edits of owners times changes of projects, merged by litgen, git and copier: an hour.
square: .venv/.ready
	$(BIN)/python tests/benchmarks/merge.py --cases 3000 --copier 60 --kinds

examples: .venv/.ready
	OMP_NUM_THREADS=$$(nproc) $(BIN)/python examples/generate.py --train

clean:
	rm -rf .venv .venv-peers .venv-deepspeed .venv-xla .venv-sky .venv-ray .slurm demo dist
