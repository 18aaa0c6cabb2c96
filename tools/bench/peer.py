"""The host at the other end: makes the frames that the operations answer, sums included."""

import struct

from smolmpy.kernel import checksum

MAC = b"\x02\x00\x00\x00\x00\x02"
BROADCAST = b"\xff\xff\xff\xff\xff\xff"
FIN = 1
SYN = 2
PSH = 8
ACK = 16
WINDOW = 65535
MSS = 1460

_ICMP = 1
_TCP = 6
_UDP = 17
_MASK = 0xFFFFFFFF


class Peer:
    """Frames from `addr` to `to` (4 bytes each) at the Ethernet address `to_mac`, over a link."""

    def __init__(self, link, to_mac, to, addr):
        self.link = link
        self.addr = addr
        self.to = to
        self.frame = bytearray(1516)
        struct.pack_into("!6s6sH", self.frame, 0, to_mac, MAC, 0x0800)
        self.data = bytearray(1460)
        for i in range(len(self.data)):
            self.data[i] = (i * 7 + 1) & 255

    def arp(self):
        """Asks for the Ethernet address of `to`."""
        frame = bytearray(60)
        struct.pack_into("!6s6sH", frame, 0, BROADCAST, MAC, 0x0806)
        struct.pack_into("!HHBBH", frame, 14, 1, 0x0800, 6, 4, 1)
        struct.pack_into("!6s4s6s4s", frame, 22, MAC, self.addr, bytes(6), self.to)
        self.link.put(frame, 60)

    def echo(self, size):
        """An ICMP echo request with `size` bytes of data."""
        struct.pack_into("!BBHHH", self.frame, 34, 8, 0, 0, 1, 1)
        self._put(_ICMP, 8, size, 36, 0)

    def udp(self, ports, size):
        """A datagram with `size` bytes of data; ports are (ours, theirs)."""
        struct.pack_into("!HHHH", self.frame, 34, ports[0], ports[1], 8 + size, 0)
        self._put(_UDP, 8, size, 40, self._pseudo(_UDP, 8 + size))

    def _pseudo(self, protocol, length):
        return checksum(self.addr, 0, 4, checksum(self.to, 0, 4, protocol + length))

    def _put(self, protocol, header, size, sum_at, acc):
        frame = self.frame
        frame[34 + header : 34 + header + size] = self.data[:size]
        total = 20 + header + size
        struct.pack_into(
            "!BBHHHBBH4s4s",
            frame,
            14,
            0x45,
            0,
            total,
            1,
            0x4000,
            64,
            protocol,
            0,
            self.addr,
            self.to,
        )
        struct.pack_into("!H", frame, 24, checksum(frame, 14, 20, 0) ^ 0xFFFF)
        struct.pack_into("!H", frame, sum_at, checksum(frame, 34, header + size, acc) ^ 0xFFFF)
        self.link.put(frame, 14 + total)


class Stream:
    """The peer's half of a TCP connection: what it has sent, and what it acknowledges."""

    def __init__(self, peer, ports, seq=1000):
        self.peer = peer
        self.ports = ports
        self.seq = seq
        self.ack = 0

    def segment(self, flags, size=0):
        """Sends a segment with `size` bytes of data, and counts what it takes of the sequence."""
        peer = self.peer
        frame = peer.frame
        header = 24 if flags & SYN else 20
        struct.pack_into(
            "!HHIIBBHHH",
            frame,
            34,
            self.ports[0],
            self.ports[1],
            self.seq,
            self.ack,
            header << 2,
            flags,
            WINDOW,
            0,
            0,
        )
        if flags & SYN:
            struct.pack_into("!BBH", frame, 54, 2, 4, MSS)
        peer._put(_TCP, header, size, 50, peer._pseudo(_TCP, header + size))
        self.seq = (self.seq + size + (flags & 1) + (flags >> 1 & 1)) & _MASK

    def acknowledge(self, size):
        """Moves on by `size` bytes that have come; they are acknowledged by the next segment."""
        self.ack = (self.ack + size) & _MASK

    def accept(self, frame):
        """Takes the sequence number from a SYN, ACK."""
        assert frame[47] == SYN | ACK, "no SYN, ACK"
        self.ack = (struct.unpack_from("!I", frame, 38)[0] + 1) & _MASK
