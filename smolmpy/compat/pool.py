"""The sockets of the stack that `socket` objects borrow: made once, handed out, taken back.

A listener holds several of them, each of which takes one client. A closed socket ends its
connection in the background and is free then. Where none is free, socket() and a listener without
one for the next client take, in this order: of the connections that are closed those in TIME-WAIT,
and those whose peer has got everything and does not close; those that have ended by themselves;
all but one of another listener's that have no client; and at last the one that its owner has left
alone longest, if for long enough (PooledTCP.patience): it is reset. Whatever waits in a call, is
polled, has a callback or listens is never taken. docs/socket.md says it to users.
"""

import gc

from micropython import const

from .. import net
from ..errno import ENOMEM
from .pooled import PooledTCP, PooledUDP

# Of docs/layout.md: 'make format' writes these.
_CLOSED = const(0)
_LISTEN = const(1)

_ESTABLISHED = const(4)

_TIME_WAIT = const(10)

_C_TCP_SYN_DROPPED = const(87)

_TEND = const(500)  # ms between looks at the orphans, while nobody waits for their places
# A client that has found no socket comes again after 1, 3, 7, ... 63 s, so for so long others are
# watched; whoever has a use for theirs has half a second to show it.
_CROWDED = const(64000)
_NOTICE = const(500)
_COLLECT = const(2000)  # ms between calls of the garbage collector for a client


class Pool:
    """`tcp` and `udp` sockets with buffers of rx and tx bytes; net.pump() calls poll().

    idle: for how many ms a `socket` object may be left alone when its place is needed, -1: for
    ever. None: 60 s where a client has come to a listener, else for ever.
    """

    def __init__(self, iface, tcp, udp, rx, tx, udp_rx, udp_tx, packets, idle):
        self.tcp = [iface.add(PooledTCP(rx, tx)) for _ in range(tcp)]
        self.udp = [iface.add(PooledUDP(udp_rx, udp_tx, packets)) for _ in range(udp)]
        self.all = self.tcp + self.udp
        self.listeners = []
        self.idle = idle
        self._state = iface._st
        self._orphans = False
        self._hungry = False  # a listener has fewer sockets than it may
        self._starved = False  # and none for the next client
        self._crowded = False  # a client has found none
        self._freed = False  # a socket has become free since
        self._taking = False  # what becomes free is for socket()
        self._tended = 0
        self._dropped = self._state[_C_TCP_SYN_DROPPED]  # how many clients have found none
        self._first = self._last = 0  # since when in a row, and when last
        self._collected = 0
        self.clients = 0  # that have come, to all listeners

    # What net asks

    def poll(self, now):
        if self.listeners and self._state[_C_TCP_SYN_DROPPED] != self._dropped:
            self._dropped = self._state[_C_TCP_SYN_DROPPED]
            self._last = now
            if not self._crowded:
                self._crowded = self._freed = True
                self._first = now
        if self._freed or (
            (self._orphans or self._crowded)
            and (self._orphans and self._hungry or (now - self._tended) & 0x3FFFFFFF >= _TEND)
        ):
            self._tend(now)

    def poll_delay(self, now):
        if self._freed:
            return 0
        if not self._orphans and not self._crowded:
            return -1
        left = _TEND - ((now - self._tended) & 0x3FFFFFFF)
        return left if left > 0 else 0

    def _tend(self, now):
        self._tended = now
        self._freed = orphans = False
        for s in self.all:
            if s.orphan:
                if s.over(now):
                    s.orphan = False
                else:
                    orphans = True
        self._orphans = orphans
        if (self._hungry or self._crowded) and not self._taking:
            self._hungry = self._starved = False
            try:
                for listener in self.listeners:
                    self.feed(listener)
                if self._crowded:
                    self._make_room(now)
            except:
                self._hungry = self._freed = True  # Ctrl-C: once more
                raise

    def _make_room(self, now):
        if not self._starved or (now - self._last) & 0x3FFFFFFF > _CROWDED:
            self._crowded = False
        elif (now - self._first) & 0x3FFFFFFF >= _NOTICE and not self._take_away(self.tcp):
            for s in self.tcp:
                if s.owner is not None:
                    s.ask()
            if (now - self._collected) & 0x3FFFFFFF >= _COLLECT:
                # A TLS socket that nobody holds any more closes its stream when it is collected.
                self._collected = now
                gc.collect()

    def _take_away(self, sockets):
        # Resets the one that its owner has left alone longest, and long enough; whether there was
        # one.
        found = None
        most = -1
        for s in sockets:
            owner = s.owner
            if owner is None or owner.callback is not None:
                continue
            if owner in self.listeners and s.state < _ESTABLISHED:
                continue
            alone = owner.idle()
            patience = s.patience(self.idle)
            if alone > most and 0 <= patience <= alone:
                found = s
                most = alone
        if found is None:
            return False
        owner = found.owner
        found.abort()
        if owner in self.listeners:
            self.release(found)
        else:
            owner.end()
        return True

    # Handing out and taking back

    def take_tcp(self, owner):
        """A free TCP socket, from now on owner's. OSError(ENOMEM) if there is none."""
        busy = net.busy
        self._taking = True
        try:
            for attempt in range(4):
                net.busy = True  # no pump() from an interrupt may take it meanwhile
                s = self._free() or self._recycled() or self._spare()
                if s is not None:
                    s.owner = owner
                    s.reset_options()
                    return s
                if attempt == 2 and not self._take_away(self.tcp):
                    break
                net.busy = busy
                if attempt == 1:
                    gc.collect()  # see _make_room
                net.pump()  # a reset that has gone out frees its socket
        finally:
            net.busy = busy
            self._taking = False
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
        for attempt in range(3):
            now = net.ticks_ms()
            for s in self.udp:
                if s.orphan and s.over(now):
                    s.orphan = False
                if s.owner is None and not s.orphan:
                    s.owner = owner
                    return s
            if attempt == 0:
                gc.collect()
            elif attempt == 1 and not self._take_away(self.udp):
                break
        raise OSError(ENOMEM, "all %d UDP sockets of the pool are in use" % len(self.udp))

    def release(self, s):
        """Takes a socket back from its owner. Allocates nothing: the collector may call this."""
        s.surrender()
        self._orphans = self._freed = True

    def ending(self):
        """How many closed sockets have something to do still; TIME-WAIT is nothing."""
        self._tend(net.ticks_ms())
        count = 0
        for s in self.all:
            if s.orphan and s.state != _TIME_WAIT:
                count += 1
        return count

    # Listeners

    def add_listener(self, listener, s):
        """From now on `listener`, which owns s, has as many sockets as its backlog."""
        s.listen(listener.port, listener.addr)
        listener.bound = None if listener.addr is None else s.local_addr
        s.quiet = True
        self.listeners.append(listener)
        self.feed(listener)

    def remove_listener(self, listener):
        """Lets go all of its sockets; clients that have not been accepted are reset."""
        if listener not in self.listeners:
            return  # it is of a pool that was there before
        self.listeners.remove(listener)
        for s in self.tcp:
            if s.owner is listener:
                if s.state >= _ESTABLISHED:
                    s.abort()
                self.release(s)
            elif s.local_port == listener.port:
                s.quiet = False

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
                s = self._recycled() or self._spare()
            if s is None:
                self._hungry = True
                break
            self._listen(s, listener)
            count += 1
            idle += 1
        if not idle:
            self._starved = True

    def _listen(self, s, listener):
        s.owner = listener
        s.turn = 0
        s.reset_options()
        # While all are taken a client is not refused: it tries again in a second.
        s.quiet = True
        s.listen_again(listener.port, listener.bound)

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
        for s in self.all:
            if s.owner is not None and s.owner not in found:
                found.append(s.owner)
        return found

    def leaked(self, ms):
        """Those that have not been used for so long, do not listen, and have no callback."""
        return [
            o
            for o in self.owners()
            if o.idle() >= ms and o.callback is None and o not in self.listeners
        ]

    def reclaim(self, ms):
        """Closes these; returns how many."""
        found = self.leaked(ms)
        for owner in found:
            owner.close()
        return len(found)
