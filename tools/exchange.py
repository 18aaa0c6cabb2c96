"""Linux's side of the exchanges with examples/server.py, with Python's own sockets.

Each function raises AssertionError where an answer is wrong and TimeoutError where none came.
"""

import errno
import itertools
import os
import select
import socket
import struct
import time

CHUNK = 64  # the server's buffers, so the longest piece that it reverses at once
_ECHO_REPLY = 0
_ECHO_REQUEST = 8
# Each ping has its own identifier: the late answer to another one is told by it.
_identifiers = itertools.count(os.getpid())


def checksum(data):
    """The Internet checksum, RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(address, size=56, sequence=1, timeout=20.0):
    """Sends one echo request of `size` bytes; returns the round trip in seconds."""
    identifier = next(_identifiers) & 0xFFFF
    payload = bytes((index * 7 + sequence) & 0xFF for index in range(size))
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, checksum(head + payload), identifier, sequence)
    expected = (_ECHO_REPLY, 0, identifier, sequence)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        start = time.monotonic()
        sock.sendto(head + payload, (address, 0))
        while True:
            left = start + timeout - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no echo reply from {address} in {timeout} s")
            sock.settimeout(left)
            packet = sock.recv(65536)
            message = packet[(packet[0] & 15) * 4 :]
            kind, code, _, ident, number = struct.unpack("!BBHHH", message[:8])
            if (kind, code, ident, number) == expected:
                assert checksum(message) == 0, "echo reply with a bad checksum"
                assert message[8:] == payload, "echo reply with other bytes than the request"
                return time.monotonic() - start


def wait_for(address, running, timeout=60.0):
    """Pings until the first answer; gives up when `running()` says that nobody is there."""
    end = time.monotonic() + timeout
    patience = 0.3
    while True:
        patience *= 1.2  # at a host that is slow, each would give up just before its answer
        try:
            return ping(address, timeout=patience)
        except (TimeoutError, OSError):
            if not running():
                raise TimeoutError("the host has ended") from None
            if time.monotonic() > end:
                raise TimeoutError(f"{address} did not answer in {timeout} s") from None


def udp(address, port, data=b"hello", timeout=20.0):
    """Sends one datagram and returns the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((address, port))
        sock.send(data)
        return sock.recv(65536)


def connect(address, port, timeout=60.0):
    """socket.create_connection(), which is tried again where ARP had no answer in 3 s."""
    end = time.monotonic() + timeout
    while True:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            if error.errno != errno.EHOSTUNREACH or time.monotonic() > end:
                raise


def tcp(address, port, data, timeout=60.0):
    """Sends `data` over one connection while it takes the answers, until both ends are closed.

    `timeout` is the longest time without progress. Returns what was received.
    """
    received = bytearray()
    with connect(address, port, timeout) as sock:
        sock.setblocking(False)
        unsent = memoryview(data)
        poller = select.poll()
        poller.register(sock, select.POLLIN | select.POLLOUT)
        while True:
            events = poller.poll(timeout * 1000)
            if not events:
                raise TimeoutError(f"no progress after {len(received)} of {len(data)} bytes")
            if events[0][1] & select.POLLOUT:
                unsent = unsent[sock.send(unsent[:16384]) :]
                if not unsent:
                    sock.shutdown(socket.SHUT_WR)
                    poller.modify(sock, select.POLLIN)
            if events[0][1] & ~select.POLLOUT:
                piece = sock.recv(65536)
                if not piece:
                    return bytes(received)
                received += piece


def assert_reversed(sent, received):
    """Checks that `received` is `sent`, cut into pieces of at most CHUNK bytes, each reversed.

    Where the cuts lie is the server's choice, so all choices are followed at once: `ends` holds
    the offsets up to which some way of cutting explains what was received.
    """
    assert len(sent) == len(received), f"{len(received)} of {len(sent)} bytes came back"
    # Pieces of one byte look like no reversing at all; that all were so short is no answer.
    assert len(sent) <= CHUNK or sent != received, "nothing was reversed"
    ends = {0}
    done = 0
    while done < len(sent):
        assert ends, f"wrong bytes after offset {done}"
        done = min(ends)
        ends.remove(done)
        backwards = received[done : done + CHUNK][::-1]
        width = len(backwards)
        for size in range(1, width + 1):
            if sent[done : done + size] == backwards[width - size :]:
                ends.add(done + size)


def pattern(size):
    """`size` bytes in which no place looks like another nearby: for finding what went where."""
    value = 1
    out = bytearray(size)
    for index in range(size):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
        out[index] = value >> 16 & 0xFF
    return bytes(out)
