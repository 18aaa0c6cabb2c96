"""UDP as text (RFC 768)."""


def describe(buf, start, end, src, dst, whole=True):
    """Text for the datagram in `buf[start:end]` between the addresses `src` and `dst` (text).

    `whole` is False where the rest of it is in other fragments or was cut off.
    """
    n = end - start
    if n < 8:
        return "%s > %s: UDP, truncated, length %d" % (src, dst, n)
    length = buf[start + 4] << 8 | buf[start + 5]
    text = "%s.%d > %s.%d: " % (
        src,
        buf[start] << 8 | buf[start + 1],
        dst,
        buf[start + 2] << 8 | buf[start + 3],
    )
    if length < 8:
        return text + "UDP, bad length %d" % length
    if length > n and whole:
        return text + "UDP, bad length %d > %d" % (length - 8, n - 8)
    return text + "UDP, length %d" % (length - 8)
