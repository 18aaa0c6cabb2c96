"""The sockets of the stack that `socket` objects borrow: made once, handed out, taken back.

A listener holds several of them, each of which takes one client; those without a client are given
away when somebody needs them, all but one. A closed socket ends its connection in the background
and is free then; where nothing is free, those in TIME-WAIT are taken first, then those whose peer
has got everything and does not close, then those of `socket` objects whose connection is over.
"""

import gc

from micropython import const

from . import net
from .errno import ENOMEM
from .sockets.pooled import PooledTCP, PooledUDP

_LISTEN = const(1)
_ESTABLISHED = const(4)
_CLOSED = const(0)
_TIME_WAIT = const(10)

_TEND = const(1000)  # ms between looks at the orphans, while nobody waits for their places


class Pool:
    """`tcp` and `udp` sockets with buffers of rx and tx bytes; net.pump() calls poll().

    idle: ms after which a `socket` object without use is closed when its place is needed; None
    to leave them alone.
    """

    def __init__(self, iface, tcp, udp, rx, tx, udp_rx, udp_tx, packets, idle):
        self.tcp = [iface.add(PooledTCP(rx, tx)) for _ in range(tcp)]
        self.udp = [iface.add(PooledUDP(udp_rx, udp_tx, packets)) for _ in range(udp)]
        self.listeners = []
        self.idle = idle
        self._orphans = False
        self._hungry = False  # a listener has fewer sockets than it may
        self._freed = False  # a socket has become free since
        self._tended = 0
        self.clients = 0  # that have come, to all listeners

    # What net asks

    def poll(self, now):
        if self._freed or (
            self._orphans and (self._hungry or (now - self._tended) & 0x3FFFFFFF >= _TEND)
        ):
            self._tend(now)

    def poll_delay(self, now):
        if self._freed:
            return 0
        if not self._orphans:
            return -1
        left = _TEND - ((now - self._tended) & 0x3FFFFFFF)
        return left if left > 0 else 0

    def _tend(self, now):
        self._tended = now
        self._orphans = self._freed = False
        for sockets in (self.tcp, self.udp):
            for s in sockets:
                if s.orphan:
                    if s.over(now):
                        s.orphan = False
                    else:
                        self._orphans = True
        if self._hungry:
            self._hungry = False
            for listener in self.listeners:
                self.feed(listener)

    # Handing out and taking back

    def take_tcp(self, owner):
        """A free TCP socket, from now on owner's. OSError(ENOMEM) if there is none."""
        for attempt in range(3):
            s = self._free() or self._recycled() or self._spare()
            if s is not None:
                s.owner = owner
                s.reset_options()
                return s
            if attempt == 0:
                net.pump()  # a reset that has gone out frees its socket
            else:
                # A TLS socket that nobody holds any more closes its stream when it is collected.
                gc.collect()
                if self.idle is not None:
                    self.reclaim(self.idle)
                net.pump()
        raise OSError(ENOMEM, "all %d TCP sockets of the pool are in use" % len(self.tcp))

    def _free(self):
        for s in self.tcp:
            if s.owner is None and not s.orphan:
                return s
        return None

    def _recycled(self):
        now = net.ticks_ms()
        oldest = None
        for s in self.tcp:
            if s.orphan:
                if s.over(now):
                    s.orphan = False
                    return s
                if s.state == _TIME_WAIT:
                    if oldest is None or s.stalled(now) > oldest.stalled(now):
                        oldest = s
                else:
                    s.hurry(now)
            elif s.state == _CLOSED and s.owner is not None and s.owner.let_go():
                s.owner = None
                return s
        if oldest is not None:
            oldest.hurry(now)
            oldest.orphan = False
        return oldest

    def _spare(self):
        for listener in self.listeners:
            idle = 0
            for s in self.tcp:
                if s.owner is listener and s.state == _LISTEN:
                    idle += 1
                    if idle == 2:
                        s.close()
                        self._hungry = True
                        return s
        return None

    def take_udp(self, owner):
        """A free UDP socket, from now on owner's. OSError(ENOMEM) if there is none."""
        for attempt in range(2):
            now = net.ticks_ms()
            for s in self.udp:
                if s.orphan and s.over(now):
                    s.orphan = False
                if s.owner is None and not s.orphan:
                    s.owner = owner
                    return s
            if self.idle is not None:
                self.reclaim(self.idle)
                net.pump()
        raise OSError(ENOMEM, "all %d UDP sockets of the pool are in use" % len(self.udp))

    def release(self, s):
        """Takes a socket back from its owner. Allocates nothing: the collector may call this."""
        s.surrender()
        self._orphans = self._freed = True

    def ending(self):
        """How many closed sockets have something to do still; TIME-WAIT is nothing."""
        self._tend(net.ticks_ms())
        count = 0
        for sockets in (self.tcp, self.udp):
            for s in sockets:
                if s.orphan and (sockets is self.udp or s.state != _TIME_WAIT):
                    count += 1
        return count

    # Listeners

    def add_listener(self, listener, s):
        """From now on `listener`, which owns s, has as many sockets as its backlog."""
        self._listen(s, listener)
        self.listeners.append(listener)
        self.feed(listener)

    def remove_listener(self, listener):
        """Lets go all of its sockets; clients that have not been accepted are reset."""
        for s in self.tcp:
            if s.owner is listener:
                if s.state >= _ESTABLISHED:
                    s.abort()
                self.release(s)
            elif s.local_port == listener.port:
                s.quiet = False
        if listener in self.listeners:
            self.listeners.remove(listener)

    def feed(self, listener):
        """Has free sockets listen until the backlog is reached."""
        count = idle = 0
        for s in self.tcp:
            if s.owner is listener:
                if s.state == _CLOSED:  # the client went before it was accepted
                    self._listen(s, listener)
                count += 1
                if s.state == _LISTEN:
                    idle += 1
        while count < listener.backlog:
            s = self._free()
            if s is None and not idle:
                s = self._recycled()
            if s is None:
                self._hungry = True
                return
            self._listen(s, listener)
            count += 1
            idle += 1

    def _listen(self, s, listener):
        s.owner = listener
        s.turn = 0
        s.reset_options()
        # While all are taken a client is not refused: it tries again in a second.
        s.quiet = True
        s.listen(listener.port, listener.addr)

    def pending(self, listener):
        """The socket of the client that has waited longest for accept(), or None."""
        best = None
        for s in self.tcp:
            if s.owner is listener:
                if s.state >= _ESTABLISHED:
                    if not s.turn:
                        self.clients = (self.clients & 0xFFFFFF) + 1
                        s.turn = self.clients
                    if best is None or ((s.turn - best.turn) >> 23) & 1:
                        best = s
                elif s.state == _CLOSED:
                    self._listen(s, listener)
        return best

    # Leaks

    def owners(self):
        """The `socket` objects that hold sockets of the pool."""
        found = []
        for sockets in (self.tcp, self.udp):
            for s in sockets:
                if s.owner is not None and s.owner not in found:
                    found.append(s.owner)
        return found

    def leaked(self, ms):
        """Those that have not been used for so long, and that nobody is to be called about."""
        return [o for o in self.owners() if o.idle() >= ms and o.callback is None]

    def reclaim(self, ms):
        """Closes these; returns how many."""
        found = self.leaked(ms)
        for owner in found:
            owner.close()
        return len(found)
