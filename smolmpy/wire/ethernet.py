"""Ethernet II as text (IEEE 802.3 clause 3.2.6: a type is 0x0600 or more, less is a length)."""

from . import arp, ipv4
from .address import format_mac


def describe(buf, start, end):
    """One line for the frame in `buf[start:end]`.

    IPv4 and ARP are decoded; of other frames the line gives addresses, type and length.
    """
    n = end - start
    if n < 14:
        return "truncated Ethernet, length %d" % n
    ethertype = buf[start + 12] << 8 | buf[start + 13]
    if ethertype == 0x0800:
        return ipv4.describe(buf, start + 14, end)
    if ethertype == 0x0806:
        return arp.describe(buf, start + 14, end)
    return "%s > %s, %s, length %d" % (
        format_mac(bytes(buf[start + 6 : start + 12])),
        format_mac(bytes(buf[start : start + 6])),
        _type(ethertype),
        n,
    )


def _type(ethertype):
    if ethertype < 0x0600:
        return "802.3"
    if ethertype == 0x8100:
        return "ethertype 802.1Q (0x8100)"
    if ethertype == 0x86DD:
        return "ethertype IPv6 (0x86dd)"
    return "ethertype Unknown (0x%04x)" % ethertype
