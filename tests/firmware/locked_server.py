"""Runs on the board: examples/server.py with the heap locked, until a datagram to port 6970."""

import gc

import micropython

import smolmpy_board as board
from server import Server
from smolmpy import UDPSocket


def main():
    device = board.device()
    server = Server(device)
    stop = server.iface.add(UDPSocket(16, 16, 1))
    stop.bind(6970)
    word = bytearray(16)
    # A device may prepare its buffers the first time.
    server.step(board.ticks_ms())
    board.wait(device, 0)
    gc.collect()
    before = gc.mem_alloc()
    print("the heap is locked")
    micropython.heap_lock()
    try:
        while stop.recv_into(word) < 0:
            board.wait(device, server.step(board.ticks_ms()))
    finally:
        micropython.heap_unlock()
    print("allocated", gc.mem_alloc() - before)
    counters = server.iface.counters()
    for name in sorted(counters):
        if counters[name]:
            print(name, counters[name])
    for name, value in getattr(device, "counters", dict)().items():
        print("device", name, value)
