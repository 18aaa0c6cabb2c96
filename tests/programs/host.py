"""Runs a program that knows nothing of smolmpy on a host at 192.168.69.1: host.py PROGRAM ARGS...

SMOLMPY_POOL gives the pool's settings, such as "tcp=4 rx=2048"; SMOLMPY_AIO starts asyncio's task;
SMOLMPY_RESOLVE is the address of every name.
"""

import os
import sys

import smolmpy_board as board
from smolmpy import net, network

settings = {}
for setting in (os.getenv("SMOLMPY_POOL") or "").split():
    name, _, value = setting.partition("=")
    settings[name] = int(value)
device = board.device()
address = "192.168.69.1", "255.255.255.0", "192.168.69.100", "192.168.69.100"
if os.getenv("SMOLMPY_DEVICE") == "loopback":
    device.loopback = True
    address = "127.0.0.1", "255.0.0.0", "0.0.0.0", "0.0.0.0"
lan = network.LAN(
    device,
    mac="02-00-00-00-00-01",
    ticks_ms=board.ticks_ms,
    wait=board.wait,
    **settings,
)
lan.active(True)
if not os.getenv("SMOLMPY_NO_ADDRESS"):
    lan.ifconfig(address)
if os.getenv("SMOLMPY_RESOLVE"):
    net.resolve = lambda host: os.getenv("SMOLMPY_RESOLVE")
network.install()
if os.getenv("SMOLMPY_AIO"):
    from smolmpy import aio

    aio.start()
sys.argv.pop(0)
with open(sys.argv[0]) as file:
    source = file.read()
sys.path.insert(0, sys.argv[0].rsplit("/", 1)[0])
try:
    exec(source, {"__name__": "__main__", "__file__": sys.argv[0]})
finally:
    sys.modules["socket"].drain()
