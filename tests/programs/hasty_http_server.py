"""examples/http_server.py with less patience, so that a test need not wait, and a long page."""

import sys

import http_server

http_server.REQUEST_MS = 1000
http_server.IDLE_MS = 2000
http_server.GRACE_MS = 300
http_server.STALL_MS = 2000
http_server.ANSWER_MS = 12000
http_server.LINGER_MS = 1000


def long(server):
    """More than what the buffers of a client hold who does not read it."""
    for _ in range(100):
        yield "%1000s\n" % "long"


http_server.page.html = long
http_server.main(sys.argv[1:])
