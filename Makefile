# Every target is a short call of a program in tools/, which does the work and explains itself.
# Settings:  MICROPYTHON=/path/to/micropython  another interpreter than the pinned one
#            TAP=tap0                          the tap that `make serve` uses
#            ARGS="-k arp"                     more arguments for pytest
#            BOARD=MPS2_AN385                  the board of the targets for firmware (RPI_PICO)
#            CHIP=w5500                        pico-run: or w5100s, enc28j60
#            TARGET=unix64                     scenario: the target
#            VERSION=oldest                    pico-run: MicroPython's, or newest
#            UPDATE=1                          bench-check: make what is counted the budget
#            SAMPLE=200 SEED=1 LEAST=90        mutants: how many (0: all), which, percent to reach
#            PATHS=smolmpy/link/arp.py        mutants: what is changed
#            NAME=predict CHANGES=50           thumb: which routine or module, how many changes

PYTHON ?= python3
TAP ?= tap0
ARGS ?=
SAMPLE ?= 200
SEED ?= 1
LEAST ?= 90
PATHS ?=
NAME ?=
CHANGES ?= 0
BOARD ?= MPS2_AN385
CHIP ?= w5500
VERSION ?= oldest
TARGET ?= unix64
export MICROPYTHON MICROPYTHON_SRC

.PHONY: help ways scenario run serve firmware board-run pico-run pico-install pico-bench size bench bench-docs bench-check mutants thumb netsim test lint format deps clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

run: ## run examples/server.py on a tap in a private network and talk to it from Linux
	@$(PYTHON) -m tools.run

serve: ## run examples/server.py on the existing tap TAP until Ctrl-C
	@$(PYTHON) -m tools.serve $(TAP)

firmware: ## build MicroPython for BOARD with smolmpy frozen in, in build/firmware/BOARD
	@$(PYTHON) -m tools.firmware $(BOARD)

board-run: ## run examples/server.py on the board in QEMU and talk to it from Linux
	@$(PYTHON) -m tools.board_run $(BOARD)

pico-run: ## run examples/server.py on an emulated Pico and its real firmware; talk to it from Linux
	@$(PYTHON) -m tools.pico_run $(CHIP) $(VERSION)

pico-install: ## measure the ways of installing on the emulated Pico; write README.md's table
	@$(PYTHON) -m tools.pico_install --write

pico-bench: ## measure times on the emulated Pico by its own clock; write docs/pico.md's tables
	@$(PYTHON) -m tools.pico_bench --write

size: ## print what each module takes of flash and of RAM
	@$(PYTHON) -m tools.size

bench: ## measure speed and size, print a table, write build/bench.json
	@$(PYTHON) -m tools.bench

bench-docs: ## put the figures of build/bench.json into docs/benchmarks.md and draw its plots
	@$(PYTHON) -m tools.bench_docs

bench-check: ## compare the counted instructions with the budget, tools/bench_budget.json
	@$(PYTHON) -m tools.bench_check $(if $(UPDATE),--update)

netsim: ## simulate TCP on bad lines beside smoltcp's figures; write docs/netsim.md
	@$(PYTHON) -m tools.netsim --check --write

test: ## run every test on every target (as root on Debian or Ubuntu: install what is missing)
	@$(PYTHON) -m tools.test $(ARGS)

mutants: ## change the stack, one thing at a time, and list the changes that no scenario notices
	@$(PYTHON) -m tools.mutants --sample $(SAMPLE) --seed $(SEED) --least $(LEAST) $(PATHS)

thumb: ## run a routine in inline assembly, and change it, on this machine, in seconds
	@$(PYTHON) -m tools.thumb_try --changes $(CHANGES) --seed $(SEED) $(NAME)

scenario: ## run scenarios on one target: TARGET=cortex-m3 ARGS="arp udp.handler"
	@$(PYTHON) -m tools.scenario $(TARGET) $(ARGS)

ways: ## play the ways of packets; write docs/architecture.md's table and drawings
	@$(PYTHON) -m tools.ways

lint: ## check style and spelling
	@$(PYTHON) -m tools.lint

format: ## rewrite the sources in the project's style
	@$(PYTHON) -m tools.lint --fix

deps: ## install the Debian or Ubuntu packages that the tests use
	@$(PYTHON) -m tools.deps

clean: ## remove everything that was built
	rm -rf build .pytest_cache .hypothesis .ruff_cache
