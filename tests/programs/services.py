"""Services against real servers, as the words of the command line say; polls with a locked heap.

    dhcp[:HOSTNAME[:ADDRESS]]  be a DHCP client; without it the address is 192.168.69.1/24
    find:NAME                  look a name up when there is an address; the servers are DHCP's,
                               or 192.168.69.100; names that end in .local go to mDNS
    mdns:HOSTNAME              answer for HOSTNAME.local
    ntp                        ask DHCP's time servers, or 192.168.69.100
    speed:N                    time runs N times as fast
    release:SECONDS            give the address back then
    flip:SECONDS               till then the name servers are others at every moment
    allocating                 do not lock the heap

One line is printed for all that happens.
"""

import sys

import micropython

import smolmpy_board as board
from smolmpy import MDNS, DHCPClient, DNSClient, Interface, SNTPClient
from smolmpy.errno import EAGAIN

LINUX = "192.168.69.100"
NOBODY = "192.168.69.99"


class Program:
    def __init__(self, words):
        self.device = board.device()
        self.iface = Interface(self.device, "02:00:00:00:00:01", sockets=16)
        self.speed = 1
        self.dhcp = self.mdns = self.ntp = None
        self.names = []
        self.addr = bytearray(4)
        self.codes = []
        self.release_at = None
        self.flip_until = 0
        self.flips = 0
        self.state = -1
        hostname = None
        for word in words:
            kind, _, value = word.partition(":")
            if kind == "speed":
                self.speed = int(value)
            elif kind == "find":
                self.names.append(value)
                self.codes.append(-EAGAIN)
            elif kind == "mdns":
                hostname = value
            elif kind == "release":
                self.release_at = int(value) * 1000
            elif kind == "flip":
                self.flip_until = int(value) * 1000
            elif kind == "dhcp":
                name, _, address = value.partition(":")
                self.dhcp = DHCPClient(
                    self.iface, name or "board", address=address or None, probe=200
                )
        if self.dhcp is None:
            self.iface.add_address("192.168.69.1/24")
        if hostname or any(name.endswith(".local") for name in self.names):
            self.mdns = MDNS(self.iface, hostname)
        servers = () if self.dhcp else (LINUX,)
        self.dns = DNSClient(self.iface, servers, mdns=self.mdns)
        if "ntp" in words:
            self.ntp = SNTPClient(self.iface, servers, interval=16)
        self.synced = False
        self.told = None
        # An answer that does not fit a datagram is asked for over TCP, which allocates.
        self.locked = "allocating" not in words
        self.start = board.ticks_ms()

    def now(self):
        return ((board.ticks_ms() - self.start) * self.speed) & 0x3FFFFFFF

    def step(self):
        now = self.now()
        self.iface.poll(now)
        if self.release_at is not None and now >= self.release_at:
            self.release_at = None
            self.dhcp.release()

    def look_up(self):
        if self.dhcp is not None and not self.dns.servers:
            return
        if self.now() < self.flip_until:
            self.flips += 1
            self.dns.servers = ([LINUX, NOBODY], [LINUX], [NOBODY, LINUX])[self.flips % 3]
        elif self.flips:
            print("flipped", self.flips)
            self.flips = 0
            self.dns.servers = [LINUX]
        for i in range(len(self.names)):
            if self.codes[i] == -EAGAIN:
                code = self.codes[i] = self.dns.lookup(self.names[i], self.addr)
                if code != -EAGAIN:
                    what = "%d.%d.%d.%d" % tuple(self.addr) if code > 0 else code
                    print("found", self.names[i], what)

    def run(self):
        print("running")
        device = self.device
        iface = self.iface
        # What is done the first time only: buffers that drivers prepare.
        iface.poll(self.now())
        board.wait(device, 1)
        while True:
            if self.locked:
                micropython.heap_lock()
            self.step()
            delay = iface.poll_delay(self.now())
            if self.locked:
                micropython.heap_unlock()
            self.look_up()
            self.report()
            if delay != 0:
                if delay < 0 or delay > 20:
                    delay = 20
                board.wait(device, delay)

    def report(self):
        dhcp = self.dhcp
        if dhcp is not None:
            if dhcp.state != self.state:
                self.state = dhcp.state
                print("state", dhcp.state_name, dhcp.lease)
            if dhcp.changed:
                dhcp.changed = False
                print(
                    "changed", dhcp.address, dhcp.mask, dhcp.router, dhcp.dns, dhcp.ntp, dhcp.lease
                )
                if dhcp.bound:
                    self.dns.servers = dhcp.dns
                    if self.ntp:
                        self.ntp.servers = dhcp.ntp
        if self.ntp is not None and self.ntp.synced != self.synced:
            self.synced = self.ntp.synced
            print("time", self.ntp.time(), self.ntp.millis)
        if self.mdns is not None and self.mdns.name and self.mdns.ready:
            if self.mdns.name != self.told:
                self.told = self.mdns.name
                print("name", self.told)


Program(sys.argv[1:]).run()
