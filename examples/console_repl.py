"""The prompt of the board itself over the network, where the port has `os.dupterm`.

    import console_repl
    console_repl.start("the password")      # and the prompt is at port 23, beside the serial line

THE WARNING OF console.py HOLDS HERE AS WELL: whoever knows the password, which crosses the network
as it is, can do anything with this board.

While the prompt waits it polls the interface itself; while a program runs, a timer does, so the
program goes on being interrupted with Ctrl-C from either side where the port has
`os.dupterm_notify`. One session at a time; the prompt's own Ctrl-D restarts the board. A terminal
should send characters as they are typed: `stty raw -echo; nc 192.168.69.1 23`, or telnet.
"""

import io
import os

import micropython

import options
import smolmpy_board as board
from console import LOGIN_MS, Gone, Session, same
from smolmpy import TCPSocket, net

POLL_MS = 50

_NOBODY, _LOGIN, _OPEN, _ENDING = range(4)


class Terminal(io.IOBase):
    """What `os.dupterm` takes: `readinto` and `write` of the connection, if there is one.

    Neither ever fails, and `readinto` never says that the stream is over: the prompt would not
    come back to it.
    """

    def __init__(self, session, password):
        self.session = session
        self.password = password.encode()
        self.phase = _NOBODY
        self.since = 0
        self.step_soon = self.step  # made once, since the timer may find the heap locked

    def step(self, _=None):
        """The interface's turn, and what there is to do for the connection."""
        net.pump()
        if not net.busy:
            self._guarded(self._work)
        if self.phase == _OPEN and self.session.socket.recv_queue:
            notify = getattr(os, "dupterm_notify", None)
            if notify:
                notify(None)

    def on_timer(self, _):
        """May be called from an interrupt: step() follows when Python code may run."""
        try:
            micropython.schedule(self.step_soon, None)
        except RuntimeError:
            pass  # the queue is full: at the next turn

    def readinto(self, buf):
        """Bytes that have been typed, or None."""
        net.pump()
        if net.busy:
            return None
        self._guarded(self._work)
        if self.phase != _OPEN:
            return None
        return self._guarded(self._read, buf)

    def write(self, buf):
        """Shows what the prompt or a program prints."""
        if self.phase == _OPEN and not net.busy:
            self._guarded(self.session.put, bytes(buf))
        return len(buf)

    def ioctl(self, request, arg):
        """Readable (MP_STREAM_POLL) where something has been typed."""
        if request == 3:
            return arg & 1 if self.phase == _OPEN and self.session.socket.recv_queue else 0
        return 0

    def _guarded(self, function, *args):
        # Nothing else may call into the stack meanwhile.
        net.busy = True
        try:
            return function(*args)
        except (Gone, UnicodeError):
            self.phase = _ENDING
            self.since = board.ticks_ms()
            self.session.socket.close()
            return None
        finally:
            net.busy = False

    def _read(self, buf):
        n = 0
        while n < len(buf):
            byte = self.session.take()
            if byte < 0:
                break
            buf[n] = byte
            n += 1
        return n or None

    def _work(self):
        session = self.session
        tcp = session.socket
        if tcp.state == TCPSocket.TIME_WAIT:
            tcp.abort()
        if tcp.state == TCPSocket.CLOSED:
            self.phase = _NOBODY
            tcp.listen(session.port)
        elif tcp.state >= TCPSocket.ESTABLISHED:
            late = (board.ticks_ms() - self.since) & 0x3FFFFFFF > LOGIN_MS
            if self.phase == _NOBODY:
                self.phase = _LOGIN
                self.since = board.ticks_ms()
                session.begin()
                session.write("password: ")
            elif self.phase == _LOGIN:
                line = session.readline()
                if late or line is not None and not same(line.encode(), self.password):
                    raise Gone
                if line is not None:
                    self.phase = _OPEN
                    session.write("MicroPython's prompt\n>>> ")
            elif self.phase == _ENDING:
                while tcp.recv_into(session.byte) > 0:
                    pass
                if late:
                    tcp.abort()


def start(password, port=23, given=None):
    """Puts the prompt at a port, on an interface of its own or on that of smolmpy.net."""
    if not hasattr(os, "dupterm"):
        raise OSError("this firmware has no os.dupterm: console.py does not need it")
    if not password:
        raise ValueError("an empty password will not do")
    from machine import Timer

    terminal = Terminal(session(port, given), password)
    os.dupterm(terminal)
    terminal.timer = Timer(-1)
    terminal.timer.init(period=POLL_MS, mode=Timer.PERIODIC, callback=terminal.on_timer)
    return terminal


def session(port, given=None):
    """The connection, on the interface that smolmpy.net has or on a new one.

    `given` are the options of options.py, as a dict.
    """
    if net.iface is None:
        if given is None:
            given, _ = options.parse((), "", {})
        _, iface = options.host(given, 2)
        net.setup(iface, board.ticks_ms, board.wait)
    return Session(net.iface, net.iface.device, port)
