"""examples/http_server.py where there are but a few kilobytes left: tight_http_server.py BYTES

The page /free gives the memory back.
"""

import gc
import sys

import http_server
import options

chain = None


def fill(left):
    """Takes all memory but so many bytes."""
    global chain
    spare = bytearray(left)
    for size in (8192, 1024, 128, 16):
        try:
            while True:
                chain = (bytearray(size), chain)
        except MemoryError:
            pass
    del spare
    gc.collect()


def free(server):
    global chain
    chain = None
    gc.collect()
    yield "free\n"


def hello(server):
    yield "hello\n"


def main(left):
    given, _ = options.parse([], "", {})
    device, iface = options.host(given, 4)
    pages = {"/": ("text/plain", hello), "/free": ("text/plain", free)}
    server = http_server.Server(iface, pages)
    waiting = [True]

    def step(now):
        if waiting and server.requests:
            # After the first request, which has prepared what drivers prepare.
            waiting.clear()
            fill(left)
        return server.step(now)

    print("serving")
    options.run(device, step)


main(int(sys.argv[1]))
