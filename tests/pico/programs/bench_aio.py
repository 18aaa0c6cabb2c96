"""Runs on the Pico for tools/pico_bench.py: an asyncio server over `network.LAN`, not in use."""

import asyncio

import smolmpy_board as board
from smolmpy import aio, network


async def client(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve():
    await asyncio.start_server(client, "0.0.0.0", 7)
    await asyncio.Event().wait()


def main():
    lan = network.LAN(board.device(), ticks_ms=board.ticks_ms, wait=board.wait)
    lan.active(True)
    lan.ifconfig(("192.168.69.1", "255.255.255.0", "0.0.0.0", "0.0.0.0"))
    network.install()
    aio.start()
    asyncio.run(serve())
