"""TCP as text (RFC 9293; options of RFC 7323 and RFC 2018)."""

_FLAGS = "FSRP.UEW"  # bit 0 first; tcpdump's letters


def describe(buf, start, end, src, dst, whole=True):
    """Text for the segment in `buf[start:end]` between the addresses `src` and `dst` (text).

    `whole` is False where the rest of it is in other fragments or was cut off: the length is
    that of what there is.
    Sequence numbers are the absolute ones: a line does not depend on the lines before it.
    """
    n = end - start
    if n < 20:
        return "%s > %s: TCP, truncated, length %d" % (src, dst, n)
    text = "%s.%d > %s.%d: " % (
        src,
        buf[start] << 8 | buf[start + 1],
        dst,
        buf[start + 2] << 8 | buf[start + 3],
    )
    header = buf[start + 12] >> 4 << 2
    if header < 20 or header > n:
        return text + "TCP, bad header length %d, length %d" % (header, n)
    bits = buf[start + 13]
    length = n - header
    seq = _u32(buf, start + 4)
    text += "Flags [%s]" % _flags(bits)
    if length:
        text += ", seq %d:%d" % (seq, seq + length & 0xFFFFFFFF)
    elif bits & 7:  # FIN, SYN and RST are at a place in the sequence; an ACK is not
        text += ", seq %d" % seq
    if bits & 0x10:
        text += ", ack %d" % _u32(buf, start + 8)
    text += ", win %d" % (buf[start + 14] << 8 | buf[start + 15])
    if bits & 0x20:
        text += ", urg %d" % (buf[start + 18] << 8 | buf[start + 19])
    if header > 20:
        text += ", options [%s]" % _options(buf, start + 20, start + header)
    return text + ", length %d" % length


def _u32(buf, i):
    return buf[i] << 24 | buf[i + 1] << 16 | buf[i + 2] << 8 | buf[i + 3]


def _flags(bits):
    return "".join(_FLAGS[i] for i in range(8) if bits >> i & 1) or "none"


def _options(buf, i, end):
    """The options in `buf[i:end]`; decoding ends at the first one that does not fit."""
    out = []
    while i < end:
        kind = buf[i]
        if kind == 0:
            out.append("eol")
            break
        if kind == 1:
            out.append("nop")
            i += 1
            continue
        length = buf[i + 1] if i + 1 < end else 0
        if length < 2 or i + length > end:
            out.append("bad option %d" % kind)
            break
        out.append(_option(buf, i, kind, length))
        i += length
    return ",".join(out)


def _option(buf, i, kind, length):
    if kind == 2 and length == 4:
        return "mss %d" % (buf[i + 2] << 8 | buf[i + 3])
    if kind == 3 and length == 3:
        return "wscale %d" % buf[i + 2]
    if kind == 4 and length == 2:
        return "sackOK"
    if kind == 5 and length > 2 and (length - 2) % 8 == 0:
        edges = range(i + 2, i + length, 8)
        blocks = ["{%d:%d}" % (_u32(buf, e), _u32(buf, e + 4)) for e in edges]
        return "sack %d %s" % (len(blocks), "".join(blocks))
    if kind == 8 and length == 10:
        return "TS val %d ecr %d" % (_u32(buf, i + 2), _u32(buf, i + 6))
    if kind in (2, 3, 4, 5, 8):
        return "bad option %d" % kind
    return "unknown-%d" % kind
