"""examples/throughput_iperf3.py with the heap locked while data moves."""

import sys

from heap import locked

import throughput_iperf3

RUNNING = 2


class Server(throughput_iperf3.Server):
    def _work(self):
        # What the client says on the control connection may be answered with new objects.
        if self.phase == RUNNING and not self.control.can_recv():
            _locked(self)
        else:
            _plain(self)


_plain = throughput_iperf3.Server._work
_locked = locked(_plain)
throughput_iperf3.Server = Server
throughput_iperf3.main(sys.argv[1:])
