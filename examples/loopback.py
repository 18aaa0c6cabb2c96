"""A server and a client in one program, with a cable between them that is only memory.

    loopback.py [BYTES]

Sends BYTES (4,000,000) from one interface to the other over TCP, checks that they arrive as they
were sent, and says how long it took. Needs no network and no rights.
"""

import sys

import smolmpy_board as board
from smolmpy import Interface, TCPSocket
from smolmpy.errno import EAGAIN
from smolmpy.phy.loopback import cable

PORT = 1234
SIZE = 8192
CHUNK = 1024


def interfaces():
    """Two hosts, 192.168.69.1 and 192.168.69.2."""
    hosts = []
    for number, device in enumerate(cable(frames=16)):
        host = Interface(device, bytes([2, 0, 0, 0, 0, number + 1]))
        host.add_address("192.168.69.%d/24" % (number + 1))
        hosts.append(host)
    return hosts


def pattern(n):
    """`n` bytes in which no place looks like another nearby."""
    out = bytearray(n)
    x = 1
    for i in range(n):
        x = (x * 75 + 74) % 65537
        out[i] = x & 255
    return out


def transfer(total):
    """Sends `total` bytes; returns how long it took, in ms."""
    there, here = interfaces()
    server = there.add(TCPSocket(SIZE, SIZE))
    client = here.add(TCPSocket(SIZE, SIZE))
    server.listen(PORT)
    client.connect("192.168.69.1", PORT)
    # The stream is the pattern over and over; pieces are received up to where it repeats.
    data = pattern(CHUNK)
    views = [memoryview(data)[i:] for i in range(CHUNK)]
    buf = bytearray(CHUNK)
    sent = received = idle = 0
    start = board.ticks_ms()
    while True:
        now = board.ticks_ms()
        moved = here.poll(now) + there.poll(now)
        while sent < total:
            n = client.send(views[sent % CHUNK], min(CHUNK - sent % CHUNK, total - sent))
            if n < 0:
                break
            sent += n
            if sent == total:
                client.close()
        n = server.recv_into(buf, CHUNK - received % CHUNK)
        while n > 0:
            at = received % CHUNK
            if buf[:n] != data[at : at + n]:
                raise SystemExit("the bytes from %d on have changed on the way" % received)
            received += n
            n = server.recv_into(buf, CHUNK - received % CHUNK)
        if n == 0:
            break
        if n != -EAGAIN and received:
            raise SystemExit("the connection ended with errno %d" % -n)
        # Nothing moves: there is a timer to wait for.
        idle = 0 if moved else idle + 1
        if idle > 1:
            delays = [d for d in (here.poll_delay(now), there.poll_delay(now)) if d >= 0]
            board.wait(here.device, min(delays) if delays else 10)
    if received != total:
        raise SystemExit("%d bytes of %d have arrived" % (received, total))
    return (board.ticks_ms() - start) & 0x3FFFFFFF


def main(args):
    total = int(args[0]) if args else 4000000
    ms = max(transfer(total), 1)
    print("%d bytes in %d ms: %d kB/s" % (total, ms, total // ms))


if __name__ == "__main__":
    main(sys.argv[1:])
