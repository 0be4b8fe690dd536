# latere: set-up, the embedded study, the tests. `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Conda where it is found, else the distribution's packages. `make demo CONDA=` ignores conda.
CONDA := $(firstword $(foreach name,conda mamba micromamba,$(shell command -v $(name))))
SDM := $(if $(CONDA),--sdm conda)
ifdef CONDA
# The environment of scVI is a CUDA build; without this conda refuses it where no GPU is seen.
export CONDA_OVERRIDE_CUDA ?= 12.9
endif

# Scripts find the programs of .venv as they find STAR: on the PATH. In .conda is the conda that
# set-up adds where only mamba or micromamba is there.
RUN := PATH="$(CURDIR)/.venv/bin:$(CURDIR)/.conda/bin:$$PATH" LATERE_SDM="$(SDM)"

.PHONY: help setup demo site test bench lint format docs graph lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

setup: ## install the tools and .venv (seconds if they are there)
	@CONDA="$(CONDA)" TESTS="$(TESTS)" envs/setup.sh

demo: setup ## run the embedded study, from SRA archives to results/demo/report.html
	$(RUN) snakemake --configfile config/demo/config.yaml --cores all $(SDM)

site: setup ## describe this SLURM site in profiles/slurm/site.yaml (FORCE=1 overwrites yours)
	@$(RUN) PYTHONPATH=scripts python -m latere.cluster.make_site $(if $(FORCE),--force)

test: TESTS := 1
test: setup ## run all tests, with lint
	$(RUN) pytest --durations=25 --numprocesses=2 --dist=loadfile --no-loadscope-reorder

bench: setup ## measure (after `make demo`): dry runs, calls of sbatch, reads to counts, counts to cells, training, ambient RNA, doublets, tests against a truth
	@$(RUN) python tests/bench/dry_run.py
	@$(RUN) python tests/bench/sbatch_calls.py
	@$(RUN) python tests/bench/reads.py
	@$(RUN) python tests/bench/cells.py
	@$(RUN) python tests/bench/training.py
	@$(RUN) PYTHONPATH=scripts python tests/bench/ambient.py
	@$(RUN) PYTHONPATH=scripts python tests/bench/doublets.py
	@$(RUN) PYTHONPATH=scripts python tests/bench/truth.py results/bench/truth.tsv --sizes 4 --seeds 1

lint: setup ## check format, spelling, schemas and links
	$(RUN) pytest tests/workflow/test_lint.py

format: setup ## format Python and Snakemake files
	$(RUN) ruff format
	$(RUN) ruff check --fix
	$(RUN) snakefmt Snakefile rules

docs: setup ## write docs/outputs.md and the tables of config/README.md from the schemas
	@$(RUN) PYTHONPATH=scripts python docs/make_outputs.py
	@$(RUN) python docs/make_config.py

graph: setup ## draw the rules in docs/images/rules.svg (needs Graphviz)
	@command -v dot >/dev/null || { echo 'make graph needs Graphviz: apt-get install graphviz' >&2; exit 1; }
	$(RUN) snakemake --rulegraph --configfile config/demo/config.yaml | \
		awk -f docs/images/rules.awk rules/*.smk - | tred | dot -Tsvg -o docs/images/rules.svg

lock: ## resolve envs/requirements.in into envs/requirements.txt (Python 3.11, some minutes)
	@envs/setup.sh lock

clean: ## remove .venv, results/demo and caches; results of other studies and resources/ stay
	rm -rf .venv .conda .snakemake/conda results/demo .pytest_cache .ruff_cache
	rm -rf docs/__pycache__
	find scripts tests -name __pycache__ -prune -exec rm -rf {} +
	@# results/.snakemake records how the results of all studies were made: it goes with the last one.
	@for study in results/*; do test ! -e "$$study" || exit 0; done; rm -rf results .snakemake
