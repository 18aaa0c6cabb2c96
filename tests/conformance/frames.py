"""Frames for the scenarios, built and read without any of the stack's own code.

Builders return whole Ethernet frames from the peer to the stack; `Packet` reads one the stack
sent, and raises `AssertionError` for a malformed one, a wrong checksum included.
"""

# No byte of these is like another, so that one at the wrong place is seen.
OUR_MAC = b"\x02\xb9\xd5\x8e\x73\xe1"
PEER_MAC = b"\x06\x9a\xcd\x5f\xb7\x64"
GATEWAY_MAC = b"\x0a\xe7\x93\xbd\x6c\xfe"
BROADCAST_MAC = b"\xff\xff\xff\xff\xff\xff"
NO_MAC = b"\x00\x00\x00\x00\x00\x00"

OUR = "192.168.69.1"
PEER = "192.168.69.100"
GATEWAY = "192.168.69.254"
FAR = "10.0.0.7"

FLAGS = "FSRPAUEC"


def addr(a):
    """4 bytes of an address in either form."""
    return bytes(int(p) for p in a.split(".")) if isinstance(a, str) else bytes(a)


def text(a):
    return ".".join(str(b) for b in a)


def u16(n):
    return bytes([n >> 8 & 255, n & 255])


def u32(n):
    return bytes([n >> 24 & 255, n >> 16 & 255, n >> 8 & 255, n & 255])


def get16(b, i):
    return b[i] << 8 | b[i + 1]


def get32(b, i):
    return (b[i] << 8 | b[i + 1]) * 65536 + (b[i + 2] << 8 | b[i + 3])


def csum(data):
    """The internet checksum (RFC 1071) of `data`."""
    total = 0
    for i in range(0, len(data) - 1, 2):
        total += data[i] << 8 | data[i + 1]
    if len(data) & 1:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _patched(data, at, bad=False):
    value = csum(data)
    return data[:at] + u16(value ^ 0x0100 if bad else value) + data[at + 2 :]


def eth(payload, ethertype=0x0800, smac=PEER_MAC, dmac=OUR_MAC):
    return dmac + smac + u16(ethertype) + payload


def arp(op, spa=PEER, tpa=OUR, sha=PEER_MAC, tha=NO_MAC, dmac=None, smac=None, head=None):
    """An ARP request (1, broadcast) or reply (2); `head` replaces the first 6 bytes."""
    if dmac is None:
        dmac = BROADCAST_MAC if op == 1 else OUR_MAC
    body = (head or b"\x00\x01\x08\x00\x06\x04") + u16(op) + sha + addr(spa) + tha + addr(tpa)
    return eth(body, 0x0806, smac or sha, dmac)


def ip(
    payload,
    proto,
    src=PEER,
    dst=OUR,
    ttl=64,
    ident=0,
    frag=0,
    tos=0,
    options=b"",
    version=4,
    ihl=None,
    total=None,
    bad_ip=False,
    pad=b"",
    smac=PEER_MAC,
    dmac=OUR_MAC,
):
    """An IPv4 packet; `frag` is the whole 16-bit flags-and-offset field."""
    options += bytes(-len(options) % 4)
    if ihl is None:
        ihl = 5 + len(options) // 4
    if total is None:
        total = 20 + len(options) + len(payload)
    head = bytes([version << 4 | ihl, tos]) + u16(total) + u16(ident) + u16(frag)
    head += bytes([ttl, proto, 0, 0]) + addr(src) + addr(dst) + options
    return eth(_patched(head, 10, bad_ip) + payload + pad, 0x0800, smac, dmac)


def icmp(kind, code=0, rest=b"\x00\x00\x00\x00", data=b"", bad_csum=False, **kw):
    body = bytes([kind, code, 0, 0]) + rest + data
    return ip(_patched(body, 2, bad_csum), 1, **kw)


def echo(ident=1, seq=1, data=b"abcdefgh", kind=8, **kw):
    return icmp(kind, 0, u16(ident) + u16(seq), data, **kw)


def _l4(body, at, proto, src, dst, bad):
    pseudo = addr(src) + addr(dst) + bytes([0, proto]) + u16(len(body))
    value = csum(pseudo + body)
    if proto == 17 and value == 0:
        value = 0xFFFF
    return body[:at] + u16(value ^ 0x0100 if bad else value) + body[at + 2 :]


def udp(
    sport,
    dport,
    data=b"",
    src=PEER,
    dst=OUR,
    bad_csum=False,
    no_csum=False,
    length=None,
    **kw,
):
    body = u16(sport) + u16(dport) + u16(8 + len(data) if length is None else length)
    body += b"\x00\x00" + data
    if not no_csum:
        body = _l4(body, 6, 17, src, dst, bad_csum)
    return ip(body, 17, src, dst, **kw)


def flag_bits(flags):
    bits = 0
    for f in flags:
        bits |= 1 << FLAGS.index(f)
    return bits


def tcp_options(mss=None, ws=None, sackok=False, sack=None, ts=None):
    o = b""
    if mss is not None:
        o += b"\x02\x04" + u16(mss)
    if ws is not None:
        o += bytes([1, 3, 3, ws])
    if sackok:
        o += b"\x01\x01\x04\x02"
    if ts is not None:
        o += b"\x01\x01\x08\x0a" + u32(ts[0]) + u32(ts[1])
    if sack:
        o += bytes([1, 1, 5, 2 + 8 * len(sack)])
        for left, right in sack:
            o += u32(left) + u32(right)
    return o


def tcp(
    sport,
    dport,
    flags,
    seq=0,
    ack=0,
    data=b"",
    win=65535,
    urg=0,
    options=b"",
    offset=None,
    reserved=0,
    src=PEER,
    dst=OUR,
    bad_csum=False,
    **kw,
):
    """A segment with absolute sequence numbers; `options` are raw bytes, padded with zeros."""
    options += bytes(-len(options) % 4)
    if offset is None:
        offset = 5 + len(options) // 4
    body = u16(sport) + u16(dport) + u32(seq) + u32(ack)
    body += bytes([offset << 4 | reserved, flag_bits(flags)]) + u16(win) + b"\x00\x00" + u16(urg)
    return ip(_l4(body + options + data, 16, 6, src, dst, bad_csum), 6, src, dst, **kw)


class Packet:
    """One frame, read into attributes: `kind` is "arp", "icmp", "udp", "tcp", "ip" or "eth"."""

    def __init__(self, frame, at=0):
        self.frame = frame
        self.at = at
        assert len(frame) >= 14, "runt frame"
        self.dmac = frame[:6]
        self.smac = frame[6:12]
        self.ethertype = get16(frame, 12)
        self.kind = "eth"
        body = frame[14:]
        if self.ethertype == 0x0806:
            self._arp(body)
        elif self.ethertype == 0x0800:
            self._ip(body)

    def _arp(self, b):
        self.kind = "arp"
        assert len(b) >= 28 and b[:6] == b"\x00\x01\x08\x00\x06\x04", "malformed ARP"
        self.op = get16(b, 6)
        self.sha, self.spa = b[8:14], text(b[14:18])
        self.tha, self.tpa = b[18:24], text(b[24:28])

    def _ip(self, b):
        self.kind = "ip"
        hlen = (b[0] & 15) * 4
        total = get16(b, 2)
        assert b[0] >> 4 == 4 and hlen >= 20 and total >= hlen, "malformed IPv4 header"
        assert len(b) == total or (len(b) > total and len(b) <= 46), "IPv4 length differs"
        assert csum(b[:hlen]) == 0, "wrong IPv4 header checksum"
        self.tos, self.ttl, self.proto = b[1], b[8], b[9]
        self.ident, self.frag = get16(b, 4), get16(b, 6)
        self.src, self.dst = text(b[12:16]), text(b[16:20])
        self.options = b[20:hlen]
        pseudo = b[12:20] + bytes([0, self.proto]) + u16(total - hlen)
        b = self.payload = b[hlen:total]
        if self.frag & 0x3FFF:
            return
        if self.proto == 1:
            self.kind = "icmp"
            assert len(b) >= 8 and csum(b) == 0, "malformed ICMP"
            self.type, self.code, self.rest, self.data = b[0], b[1], b[4:8], b[8:]
        elif self.proto == 17:
            self.kind = "udp"
            assert len(b) >= 8 and get16(b, 4) == len(b), "UDP length differs"
            assert csum(pseudo + b) == 0 or get16(b, 6) == 0, "wrong UDP checksum"
            self.sport, self.dport, self.data = get16(b, 0), get16(b, 2), b[8:]
        elif self.proto == 6:
            self._tcp(b, pseudo)

    def _tcp(self, b, pseudo):
        self.kind = "tcp"
        hlen = (b[12] >> 4) * 4
        assert 20 <= hlen <= len(b), "TCP header length"
        assert csum(pseudo + b) == 0, "wrong TCP checksum"
        assert b[12] & 15 == 0, "reserved TCP bits set"
        self.sport, self.dport = get16(b, 0), get16(b, 2)
        self.seq, self.ack = get32(b, 4), get32(b, 8)
        self.flags = "".join(f for i, f in enumerate(FLAGS) if b[13] >> i & 1)
        self.win, self.urg = get16(b, 14), get16(b, 18)
        self.data = b[hlen:]
        self.mss = self.ws = self.ts = None
        self.sackok = False
        self.sack = []
        o = b[20:hlen]
        while o and o[0]:
            if o[0] == 1:
                o = o[1:]
                continue
            n = o[1]
            assert 2 <= n <= len(o), "TCP option length"
            if o[0] == 2:
                self.mss = get16(o, 2)
            elif o[0] == 3:
                self.ws = o[2]
            elif o[0] == 4:
                self.sackok = True
            elif o[0] == 5:
                self.sack = [(get32(o, i), get32(o, i + 4)) for i in range(2, n, 8)]
            elif o[0] == 8:
                self.ts = (get32(o, 2), get32(o, 6))
            o = o[n:]

    def __repr__(self):
        k = self.kind
        if k == "arp":
            s = "op=%d %s > %s" % (self.op, self.spa, self.tpa)
        elif k == "eth":
            s = "type=0x%04x" % self.ethertype
        else:
            s = "%s > %s" % (self.src, self.dst)
        if k == "icmp":
            s += " type=%d code=%d" % (self.type, self.code)
        if k == "udp" or k == "tcp":
            s += " %d > %d len=%d" % (self.sport, self.dport, len(self.data))
        if k == "tcp":
            s += " %s seq=%d ack=%d win=%d" % (self.flags, self.seq, self.ack, self.win)
        return "<%s %s at %d>" % (k, s, self.at)
