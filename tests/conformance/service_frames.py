"""Messages of DHCP, SNTP and IGMP for the scenarios, built without any of the stack's own code.

Those of DNS are in dns_frames.py.
"""

from frames import OUR_MAC, addr, csum, u16, u32

COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)
EPOCH = 2208988800  # of Unix, in NTP's seconds


def option(code, value):
    return bytes([code, len(value)]) + value


def dhcp(
    xid,
    kind,
    your,
    server,
    lease=3600,
    options=b"",
    mask=b"\xff\xff\xff\x00",
    router=None,
    sname=b"",
    file=b"",
    chaddr=OUR_MAC,
    op=2,
    cookie=COOKIE,
    end=b"\xff",
):
    """A server's message; what is None is left out."""
    o = option(53, bytes([kind]))
    if server:
        o += option(54, addr(server))
    if lease is not None and kind != NAK:
        o += option(51, u32(lease))
    if mask:
        o += option(1, mask)
    if router:
        o += option(3, addr(router))
    d = bytes([op, 1, 6, 0]) + xid + bytes(8)
    d += (addr(your) if kind != NAK else bytes(4)) + bytes(8)
    d += chaddr + bytes(10) + sname + bytes(64 - len(sname)) + file + bytes(128 - len(file))
    return d + cookie + o + options + end


def stamp(unix, millis=0):
    """A time of NTP."""
    return u32((unix + EPOCH) & 0xFFFFFFFF) + u32(millis * 4294967 + 4)


def ntp(
    originate,
    unix,
    millis=0,
    held=0,
    first=0x24,
    stratum=2,
    refid=b"GPS\0",
    delay=0,
    dispersion=0,
    came=None,
):
    """A server's answer to a request with that transmit time, which it has `held` so many ms."""
    if came is None:
        sent = unix * 1000 + millis - held
        came = stamp(sent // 1000, sent % 1000)
    d = bytes([first, stratum, 6, 0xEC]) + u32(delay) + u32(dispersion) + refid
    return d + stamp(unix - 100) + originate + came + stamp(unix, millis)


def igmp(kind, code=0, group="0.0.0.0", more=b"", bad=False):
    """A message whose checksum is right, or wrong."""
    body = bytes([kind, code, 0, 0]) + addr(group) + more
    return body[:2] + u16(csum(body) ^ (1 if bad else 0)) + body[4:]
