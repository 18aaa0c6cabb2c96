"""IPv4 as text (RFC 791)."""

from . import icmpv4, tcp, udp
from .address import format


def describe(buf, start, end):
    """One line for the IPv4 packet in `buf[start:end]`; bytes past its total length are padding.

    A packet of fewer bytes than its total length says is decoded as far as it goes.
    """
    n = end - start
    if n < 20:
        return "IP, truncated, length %d" % n
    version = buf[start] >> 4
    header = (buf[start] & 15) << 2
    total = buf[start + 2] << 8 | buf[start + 3]
    if version != 4:
        return "IP, bad version %d, length %d" % (version, n)
    if header < 20:
        return "IP, bad header length %d, length %d" % (header, n)
    if total < header:
        return "IP, bad total length %d < %d, length %d" % (total, header, n)
    if header > n:
        return "IP, truncated, length %d" % n
    stop = start + min(total, n)
    src = format(bytes(buf[start + 12 : start + 16]))
    dst = format(bytes(buf[start + 16 : start + 20]))
    protocol = buf[start + 9]
    fragment = buf[start + 6] << 8 | buf[start + 7]
    if fragment & 0x1FFF:
        text = "IP %s > %s: %s" % (src, dst, _name(protocol))
    elif protocol in (6, 17):
        # These name the ports after the addresses.
        module = tcp if protocol == 6 else udp
        whole = total <= n and not fragment & 0x2000
        text = "IP " + module.describe(buf, start + header, stop, src, dst, whole)
    elif protocol == 1:
        text = "IP %s > %s: %s" % (src, dst, icmpv4.describe(buf, start + header, stop))
    else:
        text = "IP %s > %s: %s, length %d" % (src, dst, _name(protocol), total - header)
    if fragment & 0x3FFF:
        text += ", frag id %d offset %d%s, length %d" % (
            buf[start + 4] << 8 | buf[start + 5],
            (fragment & 0x1FFF) << 3,
            "+" if fragment & 0x2000 else "",
            total - header,
        )
    if total > n:
        text += " [truncated, %d bytes missing]" % (total - n)
    return text


def _name(protocol):
    for number, name in ((1, "ICMP"), (2, "IGMP"), (6, "TCP"), (17, "UDP")):
        if number == protocol:
            return name
    return "protocol %d" % protocol
