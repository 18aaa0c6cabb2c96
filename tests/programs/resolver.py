"""What a program for other boards does: DHCP by `network`, names by `socket`, and a connection.

Each word of the command line is a name to look up.
"""

import sys
import time

import smolmpy_board as board
from smolmpy import net, network, socket
from smolmpy.services import resolver

lan = network.LAN(board.device(), mac="02:00:00:00:00:01", sockets=6, wait=board.wait)
lan.active(True)
print("running")
lan.ipconfig(dhcp4=True)
start = time.ticks_ms()
while not lan.ipconfig("has_dhcp4"):
    net.pump()
    net.rest(20)
    if time.ticks_diff(time.ticks_ms(), start) > 60000:
        raise SystemExit("no address")
print("address", lan.ifconfig()[0], net.dns)
resolver.install(net, timeout=4000)
for name in sys.argv[1:]:
    try:
        print("found", name, socket.getaddrinfo(name, 80)[0][-1][0])
    except OSError as error:
        print("found", name, error.errno)
lan.ipconfig(dhcp4=False)
start = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), start) < 60000:
    net.pump()
    net.rest(20)
