"""Sends ICMP echo requests and says what became of them.

    ping.py [-c COUNT] [-i SECONDS] [-s SIZE] [-W SECONDS] [-t TTL] [-a ADDR/PREFIX] [-g GATEWAY]
            DESTINATION

SIZE is that of the payload (56), -W how long the last answer is waited for (2), `-a` our own
address (192.168.69.1/24). Ends after COUNT requests, or with Ctrl-C; the exit status is 0 if
there was an answer.
"""

import sys

import smolmpy_board as board
from smolmpy import ICMPSocket, Interface
from smolmpy.errno import EAGAIN, NAMES
from smolmpy.wire import address
from smolmpy.wire.icmpv4 import describe, put_echo_request

try:
    from time import ticks_us
except ImportError:

    def ticks_us():
        return board.ticks_ms() * 1000


_IDENT = 0x736D
_MASK = (1 << 29) - 1  # of times, in ms and in us
_USAGE = (
    "usage: ping.py [-c COUNT] [-i SECONDS] [-s SIZE] [-W SECONDS] [-t TTL] [-a ADDR/PREFIX] "
    "[-g GATEWAY] DESTINATION"
)


class Ping:
    """One run: requests to `dst` (4 bytes) with `size` bytes of payload from `iface`."""

    def __init__(self, iface, dst, size=56, ttl=64):
        self.iface = iface
        self.dst = dst
        self.size = size
        room = 2 * (size + 64)
        self.socket = iface.add(ICMPSocket(room, room))
        self.socket.bind(_IDENT)
        self.socket.hop_limit = ttl
        self.request = bytearray([i & 255 for i in range(8 + size)])
        self.answer = bytearray(size + 64)
        self.sent_at = [-1] * 64  # us, by sequence number modulo 64; -1 once it is answered
        self.sent = self.received = self.duplicates = self.errors = 0
        self.least = self.most = self.total = self.squares = 0

    def send(self):
        """Sends the next request; a negative errno if that failed."""
        self.sent += 1
        put_echo_request(self.request, _IDENT, self.sent)
        code = self.socket.send_to(self.request, self.dst)
        self.sent_at[self.sent & 63] = ticks_us() & _MASK
        return code

    def receive(self):
        """Takes and prints all answers that have come."""
        while True:
            n = self.socket.recv_into(self.answer)
            if n == -EAGAIN:
                return
            if n < 0:
                self.errors += 1
                print("ping.py: %s" % NAMES.get(-n, -n))
            elif n >= 8:
                self._answer(n)

    def _answer(self, n):
        a = self.answer
        peer = address.format(self.socket.remote_addr)
        if a[0] != 0:
            self.errors += 1
            print("From %s: %s" % (peer, describe(a, 0, min(n, len(a)))))
            return
        seq = a[6] << 8 | a[7]
        text = "%d bytes from %s: icmp_seq=%d" % (n, peer, seq)
        sent_at = self.sent_at[seq & 63]
        if seq > self.sent & 0xFFFF or (self.sent - seq) & 0xFFFF > 63 or sent_at < 0:
            self.duplicates += 1
            print(text, "(DUP!)")
            return
        if n != len(self.request) or a[8:n] != self.request[8:]:
            self.errors += 1
            print(text, "(the payload differs)")
            return
        us = (ticks_us() - sent_at) & _MASK
        self.sent_at[seq & 63] = -1
        if not self.received or us < self.least:
            self.least = us
        self.most = max(self.most, us)
        self.total += us
        self.squares += us * us
        self.received += 1
        print(text, "time=%s ms" % _ms(us))

    def statistics(self, elapsed):
        print("\n--- %s ping statistics ---" % address.format(self.dst))
        lost = self.sent - self.received
        text = "%d packets transmitted, %d received" % (self.sent, self.received)
        if self.duplicates:
            text += ", +%d duplicates" % self.duplicates
        if self.errors:
            text += ", +%d errors" % self.errors
        loss = lost * 100 // self.sent if self.sent else 0
        print("%s, %d%% packet loss, time %dms" % (text, loss, elapsed))
        if self.received:
            mean = self.total // self.received
            variance = self.squares // self.received - mean * mean
            print(
                "rtt min/avg/max/mdev = %s/%s/%s/%s ms"
                % (_ms(self.least), _ms(mean), _ms(self.most), _ms(_root(variance)))
            )


def _ms(us):
    return "%d.%03d" % (us // 1000, us % 1000)


def _root(n):
    """The integer square root."""
    if n < 2:
        return max(n, 0)
    r = n
    while True:
        better = (r + n // r) // 2
        if better >= r:
            return r
        r = better


def run(ping, device, count, interval, linger):
    """Sends `count` requests (0: without end) every `interval` ms; then waits `linger` ms."""
    start = due = now = board.ticks_ms()
    try:
        while True:
            now = board.ticks_ms()
            ping.iface.poll(now)
            ping.receive()
            last = count and ping.sent == count
            if last and ping.received + ping.errors >= count:
                break
            left = (due - now) & _MASK
            if left == 0 or left > _MASK >> 1:
                if last:
                    break
                ping.send()
                ping.iface.poll(now)
                due = now + (linger if ping.sent == count else interval)
                left = (due - now) & _MASK
            delay = ping.iface.poll_delay(now)
            board.wait(device, left if delay < 0 else min(left, delay))
    except KeyboardInterrupt:
        pass
    ping.statistics((now - start) & _MASK)


def _milliseconds(text):
    """Of a number of seconds such as "0.25"."""
    whole, _, part = text.partition(".")
    return int(whole or "0") * 1000 + int((part + "000")[:3])


def options(args):
    """The options as a dict and the destination; exits with the usage."""
    given = {"-c": "0", "-i": "1", "-s": "56", "-W": "2", "-t": "64", "-g": ""}
    given["-a"] = "192.168.69.1/24"
    args = list(args)
    dst = ""
    while args:
        name = args.pop(0)
        if name in given and args:
            given[name] = args.pop(0)
        elif dst or name[:1] == "-":
            dst = ""
            break
        else:
            dst = name
    if not dst:
        print(_USAGE, file=sys.stderr)
        sys.exit(2)
    return given, dst


def main(args):
    given, dst = options(args)
    try:
        dst = address.parse(dst, "DESTINATION")
        count = int(given["-c"])
        interval = _milliseconds(given["-i"])
        linger = _milliseconds(given["-W"])
        size = int(given["-s"])
        device = board.device()
        iface = Interface(device, getattr(device, "mac", None) or "02-00-00-00-00-01")
        iface.add_address(given["-a"])
        if given["-g"]:
            iface.gateway = given["-g"]
        ping = Ping(iface, dst, size, int(given["-t"]))
    except ValueError as e:
        print("ping.py: %s" % e, file=sys.stderr)
        sys.exit(2)
    print("PING %s %d(%d) bytes of data." % (address.format(dst), size, size + 28))
    run(ping, device, count, interval, linger)
    sys.exit(0 if ping.received else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
