# Every target is a short call of a program in tools/, which does the work and explains itself.
# Settings:  MICROPYTHON=/path/to/micropython  another interpreter than the pinned one
#            TAP=tap0                          the tap that `make serve` uses
#            ARGS="-k arp"                     more arguments for pytest

PYTHON ?= python3
TAP ?= tap0
ARGS ?=
export MICROPYTHON MICROPYTHON_SRC

.PHONY: help run serve test lint format deps clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: ## run examples/server.py on a tap in a private network and talk to it from Linux
	@$(PYTHON) -m tools.run

serve: ## run examples/server.py on the existing tap TAP until Ctrl-C
	@$(PYTHON) -m tools.serve $(TAP)

test: ## run every test on every target (as root on Debian or Ubuntu: install what is missing)
	@$(PYTHON) -m tools.test $(ARGS)

lint: ## check style and spelling
	@$(PYTHON) -m tools.lint

format: ## rewrite the sources in the project's style
	@$(PYTHON) -m tools.lint --fix

deps: ## install the Debian or Ubuntu packages that the tests use
	@$(PYTHON) -m tools.deps

clean: ## remove everything that was built
	rm -rf build .pytest_cache .hypothesis .ruff_cache
