"""Runs examples/server.py on the board of this folder."""

import sys

here = __file__.rsplit("/", 1)[0]
root = here + "/../../.."
sys.path.insert(0, here)
sys.path.append(root)
sys.path.append(root + "/examples")

import server  # noqa: E402

server.main()
