"""Runs on the Pico: an asyncio server over `network.LAN`, as a program of any other board has it.

Each line comes back in capitals; an empty one ends the connection. `time` stands for the board's
own work beside it: it counts on while clients are served.
"""

import asyncio
import gc

import smolmpy_board as board
from smolmpy import aio, network

lan = network.LAN(board.device(), ticks_ms=board.ticks_ms, wait=board.wait, tcp=4, rx=1024)
lan.active(True)
lan.ifconfig(("192.168.69.1", "255.255.255.0", "192.168.69.100", "192.168.69.100"))
network.install()
aio.start()
beats = 0


async def client(reader, writer):
    while True:
        line = await reader.readline()
        if line in (b"", b"\n"):
            break
        if line == b"beats\n":
            line = b"%d\n" % beats
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main():
    global beats
    await asyncio.start_server(client, "0.0.0.0", 7000)
    gc.collect()
    print("serving, %d bytes free" % gc.mem_free())
    while True:
        await asyncio.sleep_ms(50)
        beats += 1


asyncio.run(main())
