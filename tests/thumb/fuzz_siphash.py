"""The keyed hash in assembly against the portable one."""

from array import array

from differential import both, seeded
from smolmpy.core import siphash, siphash_thumb


def portable(state, tweak):
    siphash.keyed_hash(state, tweak)


def assembly(state, tweak):
    siphash_thumb.keyed_hash(state, tweak)  # whose result is not that of the other


def test_keyed_hash():
    random = seeded(21)
    for _ in range(300):
        words = (random.below(1 << 16) << 16 | random.below(1 << 16) for _ in range(128))
        both(portable, assembly, array("I", words), random.below(1 << 30))
