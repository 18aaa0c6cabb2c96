"""Runs scenarios: `run.py MODULE...`, under any interpreter; without names, all of them.

One line a test: PASS, FAIL or SKIP, `module.test_name`; a last line `ran N, failed M`.
A test is a function `test_*()`; it may return "SKIP reason".
"""

import gc
import os
import sys


def _paths():
    """Finds the scenarios beside this file, and the package two folders up."""
    here = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
    root = here + "/../.."
    extra = [here, root]
    if sys.implementation.name == "cpython":
        extra.insert(1, root + "/tests/cpython")
    for p in extra:
        if p not in sys.path:
            sys.path.append(p)
    return here


def _print_exception(e):
    if hasattr(sys, "print_exception"):
        sys.print_exception(e, sys.stdout)
    else:
        import traceback

        traceback.print_exception(type(e), e, e.__traceback__, file=sys.stdout)


def run_module(name, only=None):
    """Runs the tests of one module, or those whose name contains `only`; (ran, failed)."""
    ran = failed = 0
    gc.collect()
    try:
        module = __import__(name)
    except Exception as e:
        print("FAIL %s.import" % name)
        _print_exception(e)
        return 1, 1
    for test in sorted(dir(module)):
        if not test.startswith("test_") or (only and only not in test):
            continue
        gc.collect()
        ran += 1
        try:
            result = getattr(module, test)()
        except Exception as e:
            failed += 1
            print("FAIL %s.%s" % (name, test))
            _print_exception(e)
            continue
        if isinstance(result, str) and result.startswith("SKIP"):
            print("SKIP %s.%s %s" % (name, test, result[5:]))
        else:
            print("PASS %s.%s" % (name, test))
    # A board has no room for all modules at once.
    del module
    sys.modules.pop(name, None)
    gc.collect()
    return ran, failed


def main(names):
    """Runs the named modules (`module` or `module.part_of_a_test_name`); how many failed."""
    ran = failed = 0
    for name in names:
        name = name.rsplit("/", 1)[-1]
        if name.endswith(".py"):
            name = name[:-3]
        module, _, only = name.partition(".")
        r, f = run_module(module, only)
        ran += r
        failed += f
    print("ran %d, failed %d" % (ran, failed))
    return failed


if __name__ == "__main__":
    folder = _paths()
    names = sys.argv[1:] or sorted(
        f for f in os.listdir(folder) if f.startswith("test_") and f.endswith(".py")
    )
    sys.exit(1 if main(names) else 0)
