"""examples/server.py with the heap locked: the first allocation ends it with a traceback."""

import micropython

import smolmpy_board as board
from server import Server


def main():
    device = board.device()
    server = Server(device)
    # A device may prepare its buffers, and the board its wait, the first time.
    server.step(board.ticks_ms())
    board.wait(device, 0)
    print("the heap is locked")
    micropython.heap_lock()
    while True:
        board.wait(device, server.step(board.ticks_ms()))


main()
