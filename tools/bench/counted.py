"""Counts instructions for each operation; runs on the emulated Cortex-M3, with smolmpy frozen in.

`run(name, driver)` carries out one operation often enough for a fine mean and prints `name`, how
often, the ticks of the 25 MHz counter, the frames that the stack has sent, and the bytes of heap
that it has taken for one operation (measured after the count, the heap not locked). With `-icount
shift=0` one tick is 40 instructions. Only what is between the two readings of the counter is
counted: the stack, the application, and copying a frame in and out; the peer works outside. The
heap is locked meanwhile, so a single allocation ends the run.

The application is what one writes who wants speed: a loop in viper, with the methods that it calls
and its buffers in local variables.
"""

import gc

import micropython
from align import align
from links import LAN9118Link, MemoryLink
from machine import mem32
from micropython import const
from peer import ACK, FIN, PSH, SYN, Peer, Stream

from smolmpy import Interface, TCPSocket, UDPSocket

_COUNTER = const(0x40028018)
# Words of RAM that MicroPython does not use. The profiler (tools/bench_profile.py) sees from what
# is stored in the first two where a count begins and ends.
_COUNT = const(0x20000000)
_BEGINNINGS = const(0x20000000)  # the sum of the readings at the beginning, negative
_ENDS = const(0x20000004)
_TIME = const(0x20000008)  # milliseconds
_FORGET = const(0x2000000C)
_DONE = const(0x20000010)

_OURS = "192.168.69.1"
_OUR_ADDR = b"\xc0\xa8\x45\x01"
_OUR_MAC = b"\x02\x00\x00\x00\x00\x01"
_THEIRS = b"\xc0\xa8\x45\x64"
_FAR = b"\x0a\x14\x1e\x28"
_PORT = const(7)
_PEER_PORT = const(40000)
_SEED = b"\x01\x02\x03\x04\x05\x06\x07\x08"

_TURNS = const(40)
_ALLOCATING = const(4)  # turns in which the use of the heap is added up
_ALL = const(1 << 20)  # as much as there is
_ROW = const(4)  # frames that wait at once, in the operations `in a row`


class Operation:
    """One operation: `prepare` lets the peer act, `turn` is counted; a turn is `frames` times it.

    `expect` is how many frames the stack sends in all turns together, None where that is its own
    choice.
    """

    frames = 1
    turns = _TURNS
    expect = 1
    locked = True
    allocated = 0
    number = 0
    tables = {}

    def __init__(self, link):
        mem32[_TIME] = 0
        self.link = link
        self.iface = Interface(link.device, _OUR_MAC, seed=_SEED, **self.tables)
        self.iface.add_address(_OURS + "/24")
        self.poll = self.iface.poll
        self.peer = Peer(link, _OUR_MAC, _OUR_ADDR, _THEIRS)
        self.iface.poll(0)
        # Announced once; and both sides know each other.
        self.peer.arp()
        self.iface.poll(0)
        self.setup()

    def setup(self):
        pass

    def prepare(self):
        pass

    def check(self):
        pass

    @micropython.viper
    def turn(self):
        """Polls once: enough for what the interface answers by itself."""
        clock = ptr32(_COUNTER)
        count = ptr32(_COUNT)
        poll = self.poll
        now = count[2] + 1
        count[2] = now
        count[0] -= clock[0]
        poll(now)
        count[1] += clock[0]

    def connect(self, tcp, port=_PEER_PORT):
        """Has the peer connect to a socket; returns its stream."""
        stream = Stream(self.peer, (port, _PORT))
        tcp.listen(_PORT)
        stream.segment(SYN)
        self.iface.poll(0)
        stream.accept(self.iface._frame)
        stream.segment(ACK)
        self.iface.poll(0)
        assert tcp.state == TCPSocket.ESTABLISHED, tcp.state
        return stream

    def guarded_turn(self):
        """A turn with the heap locked; or, once `locked` is False, with its use added up."""
        if not self.locked:
            before = gc.mem_alloc()
            self.turn()
            self.allocated += gc.mem_alloc() - before
            return
        micropython.heap_lock()
        try:
            align(self.number)
            self.turn()
        finally:
            micropython.heap_unlock()
        self.number += 1


class Idle(Operation):
    """A poll with nothing to do: a UDP socket, a listener, two connections."""

    expect = 0

    def setup(self):
        self.udp = self.iface.add(UDPSocket(64, 64))
        self.udp.bind(_PORT)
        for port in (1, 2):
            self.connect(self.iface.add(TCPSocket(64, 64)), port)
        self.iface.add(TCPSocket(64, 64)).listen(_PORT)


class ARP(Operation):
    """An ARP request is answered."""

    def prepare(self):
        for _ in range(self.frames):
            self.peer.arp()


class Echo(ARP):
    """An ICMP echo request with 64 bytes of data is answered."""

    def prepare(self):
        for _ in range(self.frames):
            self.peer.echo(64)


class UDPEcho(Operation):
    """A datagram is received and sent back: a poll, and the application, which has it leave."""

    size = 64
    addr = _THEIRS

    def setup(self):
        ring = _ROW * self.size
        self.udp = self.iface.add(UDPSocket(ring, ring, packets=_ROW))
        self.udp.bind(_PORT)
        self.recv_into = self.udp.recv_into
        self.reply = self.udp.reply
        self.flush = self.udp.flush
        self.buf = bytearray(self.size)
        self.peer.addr = self.addr

    def prepare(self):
        for _ in range(self.frames):
            self.peer.udp((_PEER_PORT, _PORT), self.size)

    @micropython.viper
    def turn(self):
        clock = ptr32(_COUNTER)
        count = ptr32(_COUNT)
        poll = self.poll
        recv_into = self.recv_into
        reply = self.reply
        flush = self.flush
        buf = self.buf
        now = count[2] + 1
        count[2] = now
        count[0] -= clock[0]
        poll(now)
        if int(recv_into(buf)) >= 0:
            reply(buf)
            flush()
        count[1] += clock[0]


class UDPEchoLong(UDPEcho):
    size = 1400


class UDPEchoRow(UDPEcho):
    """The same under load: four datagrams wait, and the answers leave with the next four."""

    frames = _ROW

    @micropython.viper
    def turn(self):
        clock = ptr32(_COUNTER)
        count = ptr32(_COUNT)
        poll = self.poll
        recv_into = self.recv_into
        reply = self.reply
        buf = self.buf
        now = count[2] + 1
        count[2] = now
        count[0] -= clock[0]
        poll(now)
        while int(recv_into(buf)) >= 0:
            reply(buf)
        count[1] += clock[0]


class UDPEchoLongRow(UDPEchoRow):
    size = 1400


@micropython.viper
def _same(socket, payload, n: int) -> int:
    return n


class UDPHandler(UDPEcho):
    """A datagram is sent back from where it lies, by a handler that leaves it as it is."""

    turn = Operation.turn

    def setup(self):
        super().setup()
        self.udp.handler = _same


class UDPHandlerLong(UDPHandler):
    size = 1400


class UDPEchoFar(UDPEcho):
    """The peer is behind a router: one route, one neighbor."""

    addr = _FAR
    full = False
    tables = {"neighbors": 64, "routes": 16}

    def setup(self):
        super().setup()
        if self.full:
            for i in range(15):
                self.iface.add_route("172.16.%d.0/24" % i, "192.168.69.200")
            # Those whose search begins where the router's does have come before it.
            for i in range(63):
                self.iface.add_neighbor("192.168.70.%d" % (101 + i), b"\x02\0\0\0\1" + bytes((i,)))
        self.iface.add_neighbor("192.168.69.100", b"\x02\0\0\0\0\2")
        self.iface.add_route("10.0.0.0/8", "192.168.69.100")


class UDPEchoFarFull(UDPEchoFar):
    """The same with 16 routes, the last one taken, and all 64 entries of the cache in use."""

    full = True


class TCPEcho(Operation):
    """64 bytes are received and sent back, the acknowledgement with them.

    The answer leaves at once, as a program has it leave that does not want to wait.
    """

    def setup(self):
        self.tcp = self.iface.add(TCPSocket(2048, 2048))
        self.stream = self.connect(self.tcp)
        self.recv_slice = self.tcp.recv_slice
        self.send_slice = self.tcp.send_slice
        self.flush = self.tcp.flush
        self.buf = bytearray(64)

    def prepare(self):
        self.stream.segment(PSH | ACK, 64)
        self.stream.acknowledge(64)

    @micropython.viper
    def turn(self):
        clock = ptr32(_COUNTER)
        count = ptr32(_COUNT)
        poll = self.poll
        recv_slice = self.recv_slice
        send_slice = self.send_slice
        flush = self.flush
        buf = self.buf
        now = count[2] + 1
        count[2] = now
        count[0] -= clock[0]
        poll(now)
        n = int(recv_slice(buf, _ALL))
        if n > 0:
            send_slice(buf, n)
            flush()
        count[1] += clock[0]


class TCPHandler(TCPEcho):
    """The same by a handler that leaves what it gets as it is."""

    turn = Operation.turn

    def setup(self):
        super().setup()
        self.tcp.handler = _same


class TCPSink(Operation):
    """A full segment is received, and read by the application."""

    expect = None
    size = 1460
    others = 0
    room = 4  # segments that the receive ring holds

    def setup(self):
        for i in range(self.others):
            gc.collect()  # else the sockets lie scattered, and no large piece is left
            self.connect(self.iface.add(TCPSocket(64, 64)), 1 + i)
        self.tcp = self.iface.add(TCPSocket(self.room * self.size, 64))
        self.stream = self.connect(self.tcp)
        self.recv_slice = self.tcp.recv_slice
        self.buf = bytearray(self.frames * self.size)

    def prepare(self):
        for _ in range(self.frames):
            self.stream.segment(ACK, self.size)

    def check(self):
        assert self.tcp.recv_queue == 0
        assert self.iface.counter("tcp_out_of_order") == 0
        assert self.buf[: self.size] == self.peer.data

    @micropython.viper
    def turn(self):
        clock = ptr32(_COUNTER)
        count = ptr32(_COUNT)
        poll = self.poll
        recv_slice = self.recv_slice
        buf = self.buf
        now = count[2] + 1
        count[2] = now
        count[0] -= clock[0]
        poll(now)
        recv_slice(buf, _ALL)
        count[1] += clock[0]


class TCPSinkRow(TCPSink):
    """The same with four segments waiting at once, and room for as many more: the peer may send
    them before the window has been opened again."""

    frames = _ROW
    room = 8


@micropython.viper
def _none(socket, payload, n: int) -> int:
    return 0


class TCPSinkHandler(TCPSink):
    """The same by a handler, which reads the segment where it lies."""

    turn = Operation.turn

    def setup(self):
        self.tcp = self.iface.add(TCPSocket(self.room * self.size, 2048))
        self.stream = self.connect(self.tcp)
        self.tcp.handler = _none

    def check(self):
        assert self.tcp.recv_queue == 0
        assert self.iface.counter("tcp_out_of_order") == 0


class TCPSink16(TCPSink):
    others = 15
    tables = {"sockets": 64}


class TCPSink1(TCPSink):
    tables = {"sockets": 64}


class TCPSink64(TCPSink):
    others = 63
    tables = {"sockets": 64}


class TCPSource(Operation):
    """A full segment is sent; every second one is acknowledged by the peer."""

    def setup(self):
        self.tcp = self.iface.add(TCPSocket(64, 4 * 1460))
        self.stream = self.connect(self.tcp)
        self.send_slice = self.tcp.send_slice
        self.buf = bytearray(self.peer.data)
        self.sent = 0

    def prepare(self):
        if self.sent == 2:
            self.stream.acknowledge(2920)
            self.stream.segment(ACK)
            self.sent = 0
        self.sent += 1

    @micropython.viper
    def turn(self):
        clock = ptr32(_COUNTER)
        count = ptr32(_COUNT)
        poll = self.poll
        send_slice = self.send_slice
        buf = self.buf
        now = count[2] + 1
        count[2] = now
        count[0] -= clock[0]
        send_slice(buf, _ALL)
        poll(now)
        count[1] += clock[0]


class Handshake(Operation):
    """A listening socket becomes a connection: SYN, our SYN and ACK, ACK."""

    expect = 2  # the RST of the one before as well

    def setup(self):
        self.tcp = self.iface.add(TCPSocket(64, 64))
        self.port = _PEER_PORT

    def prepare(self):
        self.tcp.abort()
        self.iface.poll(0)
        self.stream = Stream(self.peer, (self.port, _PORT))
        self.port += 1
        self.listen()

    def listen(self):
        self.tcp.listen(_PORT)

    def guarded_turn(self):
        self.stream.segment(SYN)
        super().guarded_turn()
        self.stream.accept(self.iface._frame)
        self.stream.segment(ACK)
        super().guarded_turn()
        assert self.tcp.state == TCPSocket.ESTABLISHED


class Connection(Handshake):
    """A whole connection, listen() to CLOSED: set up, closed by the peer, then by us."""

    expect = None

    def listen(self):
        pass

    @micropython.viper
    def turn(self):
        clock = ptr32(_COUNTER)
        count = ptr32(_COUNT)
        poll = self.poll
        tcp = self.tcp
        buf = self.buf
        now = count[2] + 1
        count[2] = now
        count[0] -= clock[0]
        if int(tcp.state) == 0:
            tcp.listen(_PORT)
        poll(now)
        if int(tcp.recv_into(buf)) == 0:
            tcp.close()
            poll(now)
        count[1] += clock[0]

    def setup(self):
        super().setup()
        self.buf = bytearray(64)

    def guarded_turn(self):
        super().guarded_turn()
        self.stream.segment(FIN | ACK)
        Operation.guarded_turn(self)
        self.stream.acknowledge(1)
        self.stream.segment(ACK)
        Operation.guarded_turn(self)
        assert self.tcp.state == TCPSocket.CLOSED, self.tcp.state


OPERATIONS = {
    "idle": Idle,
    "arp": ARP,
    "icmp_echo_64": Echo,
    "udp_handler_64": UDPHandler,
    "udp_handler_1400": UDPHandlerLong,
    "udp_echo_64": UDPEcho,
    "udp_echo_1400": UDPEchoLong,
    "udp_echo_64_row": UDPEchoRow,
    "udp_echo_1400_row": UDPEchoLongRow,
    "tcp_echo_64": TCPEcho,
    "tcp_handler_64": TCPHandler,
    "tcp_sink_1460": TCPSink,
    "tcp_sink_1460_row": TCPSinkRow,
    "tcp_sink_handler_1460": TCPSinkHandler,
    "tcp_source_1460": TCPSource,
    "tcp_handshake": Handshake,
    "tcp_connection": Connection,
    "growth_sockets_1": TCPSink1,
    "growth_sockets_16": TCPSink16,
    "growth_sockets_64": TCPSink64,
    "growth_tables_1": UDPEchoFar,
    "growth_tables_full": UDPEchoFarFull,
}


def run(name, driver=False):
    operation = OPERATIONS[name](LAN9118Link() if driver else MemoryLink())
    for _ in range(8):  # congestion window, round trip time
        operation.prepare()
        operation.guarded_turn()
    gc.collect()
    mem32[_BEGINNINGS] = 0
    mem32[_ENDS] = 0
    mem32[_FORGET] = 0
    before = operation.iface.counter("tx_frames")
    operation.number = 0
    for _ in range(operation.turns):
        operation.prepare()
        operation.guarded_turn()
    operation.check()
    times = operation.turns * operation.frames
    sent = operation.iface.counter("tx_frames") - before
    expect = operation.expect
    assert expect is None or abs(sent - times * expect) <= operation.frames, (name, sent, times)
    ticks = (mem32[_BEGINNINGS] + mem32[_ENDS]) & 0xFFFFFFFF
    mem32[_DONE] = 0
    operation.locked = False
    operation.allocated = 0
    gc.collect()
    for _ in range(_ALLOCATING):
        operation.prepare()
        operation.guarded_turn()
    print("counted", name, times, ticks, sent, operation.allocated // _ALLOCATING)
