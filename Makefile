# One environment, keyed by the requirement files, that grows from running to testing: see scripts/environment.py.
PYTHON ?= python3
ARGS ?=
ACTIVATE = env=$$($(PYTHON) -m scripts.environment --for test) && export PATH="$$env/bin:$$PATH"

.PHONY: help demo test test-slow lint audit format screenshots benchmark env chromium

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

demo:  ## install what running needs and serve the page (ARGS="--port 8000 …")
	@env=$$($(PYTHON) -m scripts.environment --for run) && exec "$$env/bin/python" demo/sd_demo/app.py $(ARGS)

test: chromium  ## add what testing needs and run the quick tests, two files at once (ARGS="-k sampler …", "-n 0 --pdb …")
	@$(ACTIVATE) && exec pytest -m "not slow" -n 2 --dist loadfile $(ARGS)

test-slow: chromium  ## set everything up and run the tests that take minutes
	@$(ACTIVATE) && exec pytest -m slow $(ARGS)

lint:  ## style, types and import directions
	@$(ACTIVATE) && ruff check . && ruff format --check . && mypy && lint-imports

audit:  ## look the installed packages up among known vulnerabilities (asks the package index)
	@$(ACTIVATE) && exec python -m scripts.audit

format:  ## rewrite the code in the house's format
	@$(ACTIVATE) && ruff check --fix . && ruff format .

screenshots: chromium  ## photograph the real page and the example prompts into docs/screenshots
	@$(ACTIVATE) && python -m tools.screenshots $(ARGS) && exec python -m tools.contact_sheet

benchmark:  ## measure samplers' orders, and speed, memory and start against diffusers, into docs/ (half an hour; wants a quiet machine)
	@$(ACTIVATE) && BENCHMARK=$$(mktemp -d) && trap 'rm -r "$$BENCHMARK"' EXIT \
	&& python benchmarks/order.py --write \
	&& for part in emoji-128 emoji-128-fp32 threads; do python benchmarks/speed.py $$part --write $(ARGS) || exit 1; done \
	&& python benchmarks/start.py --write && python benchmarks/growth.py --write && python benchmarks/memory.py --write \
	&& python benchmarks/memory.py --keep $$BENCHMARK --write && python benchmarks/speed.py sd-v1 --keep $$BENCHMARK --write $(ARGS) \
	&& python benchmarks/training.py --write && python benchmarks/crowd.py

env:  ## build the environment if it is missing and print its path
	@$(PYTHON) -m scripts.environment

chromium:  ## find or install the browser of the browser tests
	@$(PYTHON) -m scripts.chromium
