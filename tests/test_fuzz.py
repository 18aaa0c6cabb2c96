"""A million mutated frames on each target, fewer where it is slow (conformance/fuzz.py).

FUZZ_FRAMES sets the number, FUZZ_SEED the seed.
"""

import os

import pytest

from tools.common import ROOT

_FOLDER = ROOT / "tests" / "conformance"
_FRAMES = int(os.environ.get("FUZZ_FRAMES", 1_000_000))
_SEED = int(os.environ.get("FUZZ_SEED", 1))
# Per cent of the frames.
_SHARE = {"cpython": 100, "unix64": 100, "unix32": 100, "bytecode": 20, "cortex-m3": 10}


@pytest.mark.parametrize("target", _SHARE, indirect=True)
def test_mutated_frames(target):
    frames = _FRAMES * _SHARE[target.name] // 100
    output = target.run(
        _FOLDER / "fuzz.py", frames, _SEED, timeout=900, folders=[_FOLDER]
    ).splitlines()
    assert int(output[-1].split()[1]) >= frames, output
