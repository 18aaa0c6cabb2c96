"""Addresses as people write them, and as 4 or 6 bytes."""


def parse(addr, name="addr"):
    """The 4 bytes of an IPv4 address given as text or as 4 bytes.

    Raises ValueError, with `name`, if it is neither.
    """
    if not isinstance(addr, str):
        try:
            if len(addr) == 4:
                return bytes(addr)
        except TypeError:
            pass
        raise ValueError(name + " must be an IPv4 address")
    parts = addr.split(".")
    if len(parts) == 4 and all(0 < len(p) <= 3 and p.isdigit() for p in parts):
        octets = [int(p) for p in parts]
        if max(octets) < 256:
            return bytes(octets)
    raise ValueError("%s: bad IPv4 address %r" % (name, addr))


def format(addr):
    """The text of a 4-byte address."""
    return "%d.%d.%d.%d" % (addr[0], addr[1], addr[2], addr[3])


def parse_cidr(cidr, name="addr"):
    """The 4 bytes and the prefix length (0 to 32) of text such as "192.168.69.1/24"."""
    if isinstance(cidr, str):
        addr, slash, prefix = cidr.partition("/")
        if slash and prefix.isdigit() and int(prefix) <= 32:
            return parse(addr, name), int(prefix)
    raise ValueError("%s: expected a.b.c.d/prefix, got %r" % (name, cidr))


def parse_mac(mac, name="mac"):
    """The 6 bytes of an Ethernet address given as text (colons or dashes) or as 6 bytes."""
    if not isinstance(mac, str):
        try:
            if len(mac) == 6:
                return bytes(mac)
        except TypeError:
            pass
        raise ValueError(name + " must be 6 bytes")
    parts = mac.replace("-", ":").split(":")
    if len(parts) == 6 and all(0 < len(p) <= 2 for p in parts):
        if all(c in "0123456789abcdefABCDEF" for p in parts for c in p):
            return bytes([int(p, 16) for p in parts])
    raise ValueError("%s: bad Ethernet address %r" % (name, mac))


def format_mac(mac):
    """The text of a 6-byte address, as 02:00:00:00:00:01."""
    return ":".join(["%02x" % b for b in mac[:6]])


def local_mac(ident):
    """A locally administered address made of a board's unique id; 02:00:00:00:00:01 of none."""
    mac = bytearray(b"\x02\0\0\0\0\0")
    for i, byte in enumerate(ident):
        mac[1 + i % 5] = mac[1 + i % 5] * 31 + byte & 255
    if not ident:
        mac[5] = 1
    return bytes(mac)


def to_word(addr, offset=0):
    """Four bytes in network order as one number."""
    return (
        (addr[offset] << 24)
        | (addr[offset + 1] << 16)
        | (addr[offset + 2] << 8)
        | addr[offset + 3]
    )


def from_word(word):
    """The 4 bytes of a number, in network order."""
    return bytes(((word >> 24) & 255, (word >> 16) & 255, (word >> 8) & 255, word & 255))
