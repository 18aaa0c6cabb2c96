"""The three loops that touch every byte: checksum, copy, copy-and-checksum.

One interface, several editions; the fastest that this interpreter can load is chosen once, here.

checksum(buf, offset, n, acc) -> int
    Internet checksum arithmetic (RFC 1071): the ones-complement sum of n bytes of buf from
    offset, taken as big-endian halfwords (a last odd byte is the high half of one), plus acc,
    folded to 16 bits and not complemented. acc is 0 to 2^30 - 1.

copy(dst, src, block) -> int
    Copies block[2] bytes from src[block[1]:] to dst[block[0]:]. Returns 0. The areas may overlap
    where dst lies before src.

copy_sum(dst, src, block) -> int
    The same, and returns what checksum() would say of the bytes copied with acc = block[3].

addressof(buf) -> int
    Where the buffer lies in memory; None where code cannot reach it that way.

block is an array('I') whose first four words are used so: inline assembly takes at most four
arguments, and callers have such an array open anyway. Nothing is checked: callers pass ranges that
lie inside the buffers.
"""

import sys

try:
    from .trial import verdict
except SyntaxError:  # no emitter, so none to mistrust
    verdict = None
if verdict:
    verdict = verdict()
    # It has done its work: the collector may have it.
    sys.modules.pop(__name__ + ".trial", None)
    globals().pop("trial", None)
    if verdict:
        raise ImportError(verdict)

try:
    from .thumb import addressof, checksum, copy, copy_sum

    EDITION = "thumb"
except (ImportError, SyntaxError, AttributeError):
    try:
        from .libc_viper import addressof, checksum, copy, copy_sum

        EDITION = "libc_viper"
    except (ImportError, SyntaxError, AttributeError):
        try:
            from .viper import addressof, checksum, copy, copy_sum

            EDITION = "viper"
        except (ImportError, SyntaxError, AttributeError):
            from .plain import addressof, checksum, copy, copy_sum

            EDITION = "plain"


def reference(buf):
    """What compiled code opens a buffer by: its address, or, where that is no small int, itself.

    To open an address costs half as much. The caller keeps the buffer alive, and its length.
    """
    if addressof is None or buf is None:
        return buf
    at = addressof(buf)
    return at if 0 <= at <= sys.maxsize >> 1 else buf
