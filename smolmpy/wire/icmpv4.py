"""ICMP for IPv4 as text (RFC 792), and the echo request that a ping sends."""

from .address import format

_UNREACHABLE = ("net", "host", "protocol", "port")


def describe(buf, start, end):
    """Text for the ICMP message in `buf[start:end]`."""
    n = end - start
    if n < 8:
        return "ICMP truncated, length %d" % n
    kind = buf[start]
    code = buf[start + 1]
    if kind in (0, 8):
        text = "echo %s, id %d, seq %d" % (
            "request" if kind else "reply",
            buf[start + 4] << 8 | buf[start + 5],
            buf[start + 6] << 8 | buf[start + 7],
        )
    elif kind == 3:
        text = _unreachable(buf, start, end, code)
    elif kind == 4:
        text = "source quench"
    elif kind == 5:
        text = "redirect %s to %s" % (
            _original(buf, start + 8, end)[0] or "(truncated)",
            format(bytes(buf[start + 4 : start + 8])),
        )
    elif kind == 11:
        text = "time exceeded in-transit" if code == 0 else "ip reassembly time exceeded"
    elif kind == 12:
        text = "parameter problem - octet %d" % buf[start + 4]
    else:
        text = "type-#%d" % kind
    return "ICMP %s, length %d" % (text, n)


def _original(buf, start, end):
    """Destination, protocol and port of the packet that an error quotes; `None` where cut off."""
    if end - start < 20:
        return None, None, None
    header = (buf[start] & 15) << 2
    protocol = buf[start + 9]
    port = None
    if protocol in (6, 17) and header >= 20 and end - start >= header + 4:
        port = buf[start + header + 2] << 8 | buf[start + header + 3]
    return format(bytes(buf[start + 16 : start + 20])), protocol, port


def _unreachable(buf, start, end, code):
    dst, protocol, port = _original(buf, start + 8, end)
    if dst is None:
        return "unreachable - #%d (truncated)" % code
    if code == 2:
        return "%s protocol %d unreachable" % (dst, protocol)
    if code == 3 and port is not None:
        return "%s %s port %d unreachable" % (dst, "tcp" if protocol == 6 else "udp", port)
    if code < 4:
        return "%s %s unreachable" % (_UNREACHABLE[code], dst)
    if code == 4:
        mtu = buf[start + 6] << 8 | buf[start + 7]
        return "%s unreachable - need to frag (mtu %d)" % (dst, mtu)
    return "%s unreachable - #%d" % (dst, code)


def put_echo_request(buf, ident, seq):
    """Writes an echo request header (8 bytes) to `buf`; whoever sends it fills the checksum in."""
    buf[0] = 8
    buf[1] = buf[2] = buf[3] = 0
    buf[4] = ident >> 8 & 255
    buf[5] = ident & 255
    buf[6] = seq >> 8 & 255
    buf[7] = seq & 255
