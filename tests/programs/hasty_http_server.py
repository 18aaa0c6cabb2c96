"""examples/http_server.py with less patience, so that a test need not wait."""

import sys

import http_server

http_server.REQUEST_MS = 1000
http_server.IDLE_MS = 2000
http_server.GRACE_MS = 300
http_server.STALL_MS = 1000
http_server.LINGER_MS = 1000
http_server.main(sys.argv[1:])
