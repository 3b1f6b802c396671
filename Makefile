# On a fresh machine with a CPython 3.12, make, git and a C/C++ compiler, `make demo` and `make test` do everything.
SHELL := /bin/bash
SOURCES := CMakeLists.txt commands.txt package.xml dev/build.sh dev/wheels.cmake \
	$(shell find cls_vla_ros lerobot_policy_cls_smolvla msg launch config bags policies -type f -not -name '*.pyc')
# A moved folder is built anew: what is built holds its path.
MOVED := $(if $(filter-out $(CURDIR),$(shell cat install/.built 2>/dev/null)),FORCE)
ENV := . dev/env.sh &&
export PYTHON

.PHONY: demo fleet test docs lint setup build clean

demo: build  ## run the node on the recording; report and picture in demo_output/
	@$(ENV) demo --out demo_output

fleet: build  ## four robots on two replicas, one of which is killed; report and picture in fleet_output/
	@$(ENV) fleet --out fleet_output

test: build  ## all tests; ARGS="-k gate" for some
	@$(ENV) python -m ruff check . && python -m pytest -n 2 --dist loadfile $(ARGS)

docs:  ## the pages of docs/ as a site in build/site, by an environment of its own
	@test -x build/docs/bin/mkdocs || { $(or $(PYTHON),python3) -m venv build/docs && build/docs/bin/pip install -q -r requirements/docs.txt; }
	@build/docs/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

lint: setup  ## ruff, and its formatting
	@$(ENV) ruff check --fix . && ruff format .

setup: .venv/.ready  ## the virtual environment
build: install/.built  ## the messages and the package

# Always run, because it sees at once whether there is something to do, and it writes only then.
.venv/.ready: FORCE
	@dev/setup.sh

install/.built: .venv/.ready $(SOURCES) $(MOVED)
	@dev/build.sh

FORCE:

clean:  ## what build made; .venv stays
	rm -rf build install log demo_output fleet_output
