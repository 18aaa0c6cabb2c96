"""The scenarios of tests/conformance, each as a test of its own on every target.

The scenarios are run by tests/conformance/run.py under the target's interpreter, a module at a
time; here only its report is read.
"""

import ast
import functools
import re

import pytest

import targets
from tools.common import ROOT

_FOLDER = ROOT / "tests" / "conformance"
_RESULT = re.compile(r"^(PASS|FAIL|SKIP) (\w+\.\w+)(?: (.*))?$")
_TOTAL = re.compile(r"^ran \d+, failed \d+$")
_TIMEOUT = 300


def _scenarios():
    for path in sorted(_FOLDER.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield path.stem, node.name
            # chip_scenarios.share(MODULE, ...): each function of that which takes a name.
            call = isinstance(node, ast.Expr) and node.value
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "chip_scenarios.share":
                shared = _FOLDER / f"{ast.unparse(call.args[0])}.py"
                for function in ast.parse(shared.read_text()).body:
                    if isinstance(function, ast.FunctionDef):
                        if [argument.arg for argument in function.args.args] == ["name"]:
                            yield path.stem, f"test_{function.name}"


def read_report(output):
    """Takes a report apart: {test: (outcome, details)}, and whether it has its last line."""
    results = {}
    details = []
    for line in output.splitlines():
        result = _RESULT.match(line)
        if result:
            details = [result[3] or ""]
            results[result[2]] = result[1], details
        else:
            details.append(line)
    return results, bool(_TOTAL.match((output.splitlines() or [""])[-1]))


@functools.cache
def _run(target_name, module):
    """Runs a module once; returns what its report says, and the report."""
    target = targets.get(target_name)
    try:
        output = target.run(
            _FOLDER / "run.py", module, timeout=_TIMEOUT, folders=[_FOLDER], check=False
        )
    except TimeoutError as late:
        output = str(late)
    return *read_report(output), output


_CASES = [
    pytest.param(target, module, test, id=f"{target}-{module.removeprefix('test_')}-{test}")
    for target in (*targets.CONFORMANCE, *targets.BOARDS)
    for module, test in _scenarios()
]
# Where libc copies.
_CASES += [
    pytest.param("unix-ffi", module, test, id=f"unix-ffi-{module.removeprefix('test_')}-{test}")
    for module, test in _scenarios()
    if module in ("test_kernel", "test_heap", "test_heap_tcp")
]


@pytest.mark.parametrize("target, module, test", _CASES, indirect=["target"])
def test_scenario(target, module, test):
    results, ended, output = _run(target.name, module)
    if f"{module}.{test}" not in results:
        pytest.fail(f"{target}: no result of {module}.{test}\n{output}", pytrace=False)
    outcome, details = results[f"{module}.{test}"]
    if outcome == "FAIL":
        pytest.fail(f"{target}\n" + "\n".join(details), pytrace=False)
    if not ended:
        pytest.fail(f"{target}: {module} did not run to its end\n{output}", pytrace=False)
    if outcome == "SKIP":
        pytest.skip(details[0] or "the scenario does not say why")


def test_the_report_is_read_as_it_is_meant():
    results, ended = read_report(
        "PASS m.test_a\nFAIL m.test_b\nTraceback\n  x\nSKIP m.test_c no ffi\nran 3, failed 1\n"
    )
    assert ended
    assert results["m.test_a"][0] == "PASS"
    assert results["m.test_b"] == ("FAIL", ["", "Traceback", "  x"])
    assert results["m.test_c"][0] == "SKIP" and results["m.test_c"][1][0] == "no ffi"
    assert not read_report("PASS m.test_a\nMemoryError: \n")[1]
    assert read_report("") == ({}, False)
