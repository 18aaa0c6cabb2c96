"""A million mutated frames, shared out over the targets by their speed (conformance/fuzz.py).

FUZZ_FRAMES sets the total, FUZZ_SEED the seed.
"""

import os

import pytest

from tools.common import ROOT

_FOLDER = ROOT / "tests" / "conformance"
_FRAMES = int(os.environ.get("FUZZ_FRAMES", 1_000_000))
_SEED = int(os.environ.get("FUZZ_SEED", 1))
# Per cent of the frames.
_SHARE = {"cpython": 10, "unix64": 45, "unix32": 35, "bytecode": 10}


@pytest.mark.parametrize("target", _SHARE, indirect=True)
def test_mutated_frames(target):
    frames = _FRAMES * _SHARE[target.name] // 100
    output = target.run(
        _FOLDER / "fuzz.py", frames, _SEED, timeout=900, folders=[_FOLDER]
    ).splitlines()
    assert int(output[-1].split()[1]) >= frames, output
