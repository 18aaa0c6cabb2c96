"""Inline assembly for Thumb: its machine code, read (tools/thumb.py) and run (tests/thumb).

A routine is tried in seconds:

    make thumb NAME=predict CHANGES=20

The walks of the conformance suite and those of tests/thumb run against the portable editions; all
of them together have to run every instruction and to take every branch both ways. A longer run:
SMOLMPY_SEED=1, 2 and so on.
"""

import functools
import json
import os
import sys

import pytest

import targets
from test_conformance import read_report
from tools import compilers, native_code, thumb, thumb_changes, unixport
from tools.common import BUILD, ROOT, run

_CONFORMANCE = ROOT / "tests" / "conformance"
_HERE = ROOT / "tests" / "thumb"
_FUZZ = sorted(path.stem for path in _HERE.glob("fuzz_*.py"))
_WALKS = ["test_secret", "test_prediction.test_assembly", "test_header"]
_WALKS += ["test_datagram", "test_tcp_prediction"]
# Both processors run the same code, which is tested below, and each of them all of it.
_MODULES = {
    "thumb-m0": ["check_core", *_FUZZ],
    "thumb-m3": ["check_core", "test_kernel", "fuzz_lan9118", *_WALKS],
}
_ARCHES = tuple(thumb.ARCHES.values())  # the emitter for armv7emsp is that for armv7m
# An interrupt may come at the worst moment, and boards have little: more would be a decision.
_MOST_STACK = 48


@functools.cache
def _run(name, module):
    """Runs a module on a target: (what its report says, the report, the steps of each routine)."""
    folder = BUILD / "thumb"
    folder.mkdir(exist_ok=True)
    steps = folder / f"{name}-{module}.json"
    steps.unlink(missing_ok=True)
    output = targets.get(name).run(
        _CONFORMANCE / "run.py",
        module,
        timeout=300,
        folders=[_CONFORMANCE],
        check=False,
        # Chance decides otherwise on each processor.
        variables={
            "SMOLMPY_STEPS": str(steps),
            "SMOLMPY_SEED": os.environ.get("SMOLMPY_SEED") or str(list(_MODULES).index(name)),
        },
    )
    return *read_report(output), output, json.loads(steps.read_text()) if steps.exists() else {}


_CASES = [
    pytest.param(target, module, id=f"{target}-{module}")
    for target, modules in _MODULES.items()
    for module in modules
]


@pytest.mark.parametrize("target, module", _CASES, indirect=["target"])
def test_module(target, module):
    results, ended, output, _ = _run(target.name, module)
    assert results and ended, output
    # Here nothing is left out for want of assembly.
    wrong = [test for test, (outcome, _) in results.items() if outcome != "PASS"]
    assert not wrong, f"{target}: {wrong}\n{output}"


def test_all_of_it_is_run(need):
    taken = {}
    for name, modules in _MODULES.items():
        need(targets.get, name)
        for module in modules:
            for where, steps in _run(name, module)[3].items():
                taken.setdefault(where, set()).update(map(tuple, steps))
    problems = [
        problem
        for path in thumb.modules()
        for routine in thumb.routines(path).values()
        for problem in routine.uncovered(taken.get(routine.where, ()))
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("path", thumb.modules(), ids=lambda path: path.stem)
def test_every_compiler_makes_the_same(path, need):
    """So what is found out about one is true of all."""
    made = thumb.routines(path)
    compiler = [need(compilers.provide, version) for version in compilers.VERSIONS]
    compiler += [thumb.compiler(), unixport.path("mpy-cross")]
    for program in compiler:
        for arch in _ARCHES:
            found = native_code.functions(program, path, arch)
            code = {node.name: code for kind, node, code in found if kind == "asm_thumb"}
            assert code == {name: made[name].code for name in made}, f"{program} {arch}"


@pytest.mark.parametrize("path", thumb.modules(), ids=lambda path: path.stem)
def test_it_can_be_read(path):
    for routine in thumb.routines(path).values():
        assert routine.stack <= _MOST_STACK, f"{routine.where}: {routine.stack} bytes of stack"


_FAULTS = {
    "movw(r0, 1000)": "bytes of code",
    "data(2, 0xF3EF, 0x8010)": "32 bits",
    "mov(r8, r0)": "it changes r8",
    "push({r0})": "it returns to where nobody knows",
    "pop({r1})": "it returns to where nobody knows",
    "label(A)\n    push({r1})\n    b(A)": "not always as much on the stack",
    "bx(lr)": "it returns to where nobody knows",
    "b(B)\n    label(A)\n    pop({r1})\n    bx(lr)\n    label(B)\n    bl(A)": "it returns to",
    "b(B)\n    label(A)\n    bl(A)\n    bx(lr)\n    label(B)\n    bl(A)": "it returns to",
    "bl(A)\n    label(A)": "not always as much on the stack, or called and not",
    "b(A)\n    nop()\n    label(A)": "nothing leads there",
    "data(2, 0x9801)  # ldr r0, [sp, 4]": "relative to the stack pointer",
    "data(2, 0xB672)  # cpsid i": "no such instruction",
    "data(2, 0xB100)  # cbz r0": "no such instruction",
    "data(2, 0xBE00)  # bkpt": "no such instruction",
    "data(2, 0xC103)  # stm r1!, {r0, r1}": "a base that it has changed",
    "data(2, 0xDF00)  # svc": "an exception",
    "bx(r1)": "a branch to a register",
}


@pytest.mark.parametrize("body", _FAULTS, ids=range(len(_FAULTS)))
def test_what_is_wrong_is_found(body, tmp_path):
    """The check itself."""
    path = tmp_path / "sample.py"
    path.write_text(f"@micropython.asm_thumb\ndef f(r0):\n    {body}\n")
    with pytest.raises(thumb.Fault, match=_FAULTS[body]):
        thumb.routines(path, "armv7m")


def test_what_has_not_been_run_is_found(tmp_path):
    path = tmp_path / "sample.py"
    body = "cmp(r0, 0)\n    beq(A)\n    mov(r0, 1)\n    bl(B)\n    label(A)\n    b(C)\n"
    body += "    label(B)\n    bx(lr)\n    label(C)\n"
    path.write_text(f"@micropython.asm_thumb\ndef f(r0):\n    {body}")
    routine = thumb.routines(path)["f"]
    at = {text: offset for offset, (_, text) in routine.lines.items()}
    first, last = (0, at["mov(r0, 1)"]), (at["mov(r0, 1)"], at["bx(lr)"])
    back, over = (at["bx(lr)"], at["b(C)"]), (0, at["b(C)"])
    end = (at["b(C)"], at["its end"])
    assert routine.uncovered([first, last, back, over, end]) == []
    assert [text.split(": ")[1:] for text in routine.uncovered([over, end])] == [
        ["beq(A)", "always taken"],
        ["mov(r0, 1)", "never run"],
        ["bl(B)", "never run"],
        ["bx(lr)", "never run"],
    ]
    assert [text.split(": ")[1:] for text in routine.uncovered([first, last, back, end])] == [
        ["beq(A)", "never taken"]
    ]


def test_what_is_changed(tmp_path):
    path = tmp_path / "sample.py"
    body = (
        "cmp(r0, 255)\n    bcs(A)\n    push({r0})\n    adc(r1, r0)\n    pop({r0})\n    label(A)\n"
    )
    path.write_text(f"@micropython.asm_thumb\ndef f(r0, r1):\n    {body}")
    routine = thumb.routines(path)["f"]
    found = thumb_changes.changes(routine)
    assert [text.split(": ", 1)[1] for text, _ in found] == [
        "cmp(r0, 255): one less",
        "cmp(r0, 255): left out",
        "bcs(A): bcc",
        "bcs(A): bhi",
        "bcs(A): bge",
        "bcs(A): never taken",
        "bcs(A): always taken",
        "adc(r1, r0): sbc",
        "adc(r1, r0): without the carry",
        "adc(r1, r0): left out",
    ]
    for _, code in found:
        assert len(code) == len(routine.code) and code != routine.code
    at = {text: offset for offset, (_, text) in routine.lines.items()}
    always = thumb.decode(found[6][1], at["bcs(A)"])
    assert (always.kind, always.target) == ("b", routine.instructions[at["bcs(A)"]].target)


def test_a_routine_is_tried(need):
    """And each change of this one is noticed."""
    need(targets.get, "thumb-m0")
    output = run(sys.executable, "-m", "tools.thumb_try", "keyed_hash", "--changes", 1000)
    assert "71 of 71 instructions run, 1 of 1 branches both ways" in output
    assert "changes tried, 0 not noticed" in output
