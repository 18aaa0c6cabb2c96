"""Runs the tests of tests/thumb that concern some routines: tools/thumb_try.py starts this.

Whether they pass, what of the code they run, and which changes of it they do not notice. Each
change is tried in a fork, by the tests that run the routine, the quickest ones first.
"""

import argparse
import os
import random
import resource
import sys
import time
import traceback
from pathlib import Path

from emulated import core
from tools import thumb, thumb_changes

_SECONDS = 60  # of the processor, for the tests of one change
_HERE = Path(__file__).parent


def _tests(names):
    """(name, test) of those that have to do with modules in assembly."""
    sys.path.insert(0, str(_HERE.parent / "conformance"))
    for path in sorted(_HERE.glob("fuzz_*.py")):
        module = __import__(path.stem)
        if any(getattr(value, "__name__", None) in names for value in vars(module).values()):
            for name, test in sorted(vars(module).items()):
                if name.startswith("test_"):
                    yield f"{path.stem}.{name}", test


def _run(tests, names):
    """[(seconds, name, test, names of the routines that it runs)] and {routine: its steps}."""
    ran = []
    taken = {}
    for name, test in tests:
        core.forget_steps()
        began = time.process_time()
        test()
        seconds = time.process_time() - began
        steps = {where: each for where, each in core.steps().items() if each and where in names}
        for where, each in steps.items():
            taken.setdefault(where, set()).update(each)
        if steps:
            ran.append((seconds, name, test, set(steps)))
    return sorted(ran, key=lambda test: test[0]), taken


def _noticed(routine, code, tests):
    """Whether a test fails with other code in the routine's place."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return status != 0
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        core.replace(routine.where, code)
        for _, _, test, runs in tests:
            if routine.where in runs:
                test()
        os._exit(0)
    except BaseException:
        os._exit(1)


def _changed(routines, tests, number, seed):
    all_of_them = [
        (routine, text, code)
        for routine in routines
        for text, code in thumb_changes.changes(routine)
    ]
    chance = random.Random(seed)
    chosen = chance.sample(all_of_them, min(number, len(all_of_them)))
    left = []
    for routine, text, code in chosen:
        if not _noticed(routine, code, tests):
            left.append(text)
            print(f"  not noticed: {text}", flush=True)
    print(f"{len(chosen)} of {len(all_of_them)} changes tried, {len(left)} not noticed")


def _main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("changes", type=int)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    routines = []
    modules = set()
    for path in thumb.modules():
        for routine in thumb.kept_routines(path, "armv6m").values():
            if options.name in (routine.name, path.stem, ""):
                routines.append(routine)
                modules.add(".".join(path.relative_to(thumb.ROOT).with_suffix("").parts))
    if not routines:
        sys.exit(f"No routine and no module has the name {options.name}.")
    began = time.process_time()
    try:
        tests, taken = _run(_tests(modules), {routine.where for routine in routines})
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    took = time.process_time() - began
    print(f"{len(tests)} tests pass; {took:.1f} s of the processor")
    for routine in routines:
        steps = taken.get(routine.where, ())
        print(f"{routine.where}: {routine.summary(steps)}")
        for problem in routine.uncovered(steps):
            print(f"  {problem}")
    if options.changes:
        _changed(routines, tests, options.changes, options.seed)


if __name__ == "__main__":
    _main()
