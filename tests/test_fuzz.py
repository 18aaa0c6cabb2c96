"""A million mutated frames on each target, fewer where it is slow (conformance/fuzz.py).

A tenth of that are mutated messages to the services (conformance/fuzz_services.py). FUZZ_FRAMES
sets the number, FUZZ_SEED the seed.
"""

import os

import pytest

from tools.common import ROOT

_FOLDER = ROOT / "tests" / "conformance"
_FRAMES = int(os.environ.get("FUZZ_FRAMES", 1_000_000))
_SEED = int(os.environ.get("FUZZ_SEED", 1))
# Per cent of the frames.
_SHARE = {"cpython": 100, "unix64": 100, "unix32": 100, "bytecode": 20, "cortex-m3": 10}


# Of a tenth, likewise.
_SHARE_OF_SERVICES = {"cpython": 50, "unix64": 100, "unix32": 100, "bytecode": 30, "cortex-m3": 2}


def _fuzz(target, script, count):
    output = target.run(_FOLDER / script, count, _SEED, timeout=900, folders=[_FOLDER])
    last = output.splitlines()[-1].split()
    assert last[0] == "fuzzed" and int(last[1]) >= count, output


@pytest.mark.parametrize("target", _SHARE, indirect=True)
def test_mutated_frames(target):
    _fuzz(target, "fuzz.py", _FRAMES * _SHARE[target.name] // 100)


@pytest.mark.parametrize("target", _SHARE_OF_SERVICES, indirect=True)
def test_mutated_messages_to_services(target):
    _fuzz(target, "fuzz_services.py", _FRAMES * _SHARE_OF_SERVICES[target.name] // 1000)
