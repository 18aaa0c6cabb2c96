"""The pcap writer: every byte of the file, times, and no allocation."""

from micropython import heap_lock, heap_unlock

from smolmpy.wire.pcap import PcapWriter


class Sink:
    """A stream that keeps what is written. Its `write` is that of a native stream."""

    def __init__(self):
        self.data = bytearray(2000)
        self.at = 0

    def write(self, buf, length=None):
        n = len(buf) if length is None else length
        for i in range(n):
            self.data[self.at + i] = buf[i]
        self.at += n
        return n

    def text(self):
        return bytes(self.data[: self.at])


HEAD = (
    b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00"
    b"\x01\x00\x00\x00"
)


def _stamp(data, i):
    sec = usec = 0
    for k in range(3, -1, -1):
        sec = sec << 8 | data[i + k]
        usec = usec << 8 | data[i + 4 + k]
    return sec, usec


def test_file():
    sink = Sink()
    w = PcapWriter(sink, epoch=0x6523FFFF, now=500)
    assert sink.text() == HEAD
    w.write(b"abcdef", 5, 501, 7)
    assert sink.text() == HEAD + (
        b"\xff\xff\x23\x65\xef\x03\x00\x00\x05\x00\x00\x00\x05\x00\x00\x00abcde"
    )
    w.write(b"x", 1, 1500)
    assert sink.text()[45:] == (
        b"\x00\x00\x24\x65\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00x"
    )


def test_snaplen_and_linktype():
    sink = Sink()
    PcapWriter(sink, snaplen=4, linktype=101).write(b"abcdef", 6, 0)
    assert sink.text()[16:24] == b"\x04\x00\x00\x00\x65\x00\x00\x00"
    assert sink.text()[32:] == b"\x04\x00\x00\x00\x06\x00\x00\x00abcd"
    for bad in (0, 65536):
        try:
            PcapWriter(Sink(), snaplen=bad)
        except ValueError as e:
            assert "snaplen" in str(e)
        else:
            raise AssertionError("no ValueError")


def test_time_goes_on():
    """Over the wrap of the clock, and not back."""
    sink = Sink()
    now = (1 << 30) - 1500
    w = PcapWriter(sink, epoch=1000, now=now)
    seen = []
    for step in (0, 999, 1, 1000, -300, 300, 86400000):
        now = (now + step) & 0x3FFFFFFF
        at = sink.at
        w.write(b"", 0, now)
        seen.append(_stamp(sink.data, at))
    assert seen == [
        (1000, 0),
        (1000, 999000),
        (1001, 0),
        (1002, 0),
        (1002, 0),
        (1002, 0),
        (87402, 0),
    ], seen


def test_allocates_nothing():
    sink = Sink()
    w = PcapWriter(sink, epoch=0x6523FFFF)
    buf = bytearray(100)
    w.write(buf, 60, 1)
    heap_lock()
    try:
        for k in range(20):
            w.write(buf, 60, k * 400000)
    finally:
        heap_unlock()
