"""A console for MicroPython over the network: lines are run as Python, as at the prompt.

    console.py [-a ADDR/PREFIX] [-g GATEWAY] [-p PORT] PASSWORD

    nc 192.168.69.1 23         # or telnet; Ctrl-D, or quit(), ends the session

WHOEVER CONNECTS AND KNOWS THE PASSWORD CAN DO ANYTHING WITH THIS BOARD, AND THE PASSWORD CROSSES
THE NETWORK AS IT IS: anybody on the way can read it. Use it on a network that is yours alone.

One session at a time. `print` and the values of expressions go to the session; what a module that
has been imported prints goes to the board's own console. A block ends with an empty line. While a
line runs the interface rests, so other services of the program wait for it; writing to the session
waits until the other end takes it. On a board that has `os.dupterm` the prompt itself can be had:
console_repl.py.
"""

import builtins
import io
import sys

import options
import smolmpy_board as board
from smolmpy import TCPSocket
from smolmpy.errno import EAGAIN
from smolmpy.wire import address

LINE = 256  # bytes in a line
BUFFER = 1024
ATTEMPTS = 3
LOGIN_MS = 30000  # within which the password has to be said
STALL_MS = 10000  # how long the other end may take nothing

_IAC, _SB, _SE, _WILL = 255, 250, 240, 251  # telnet, RFC 854


class Gone(Exception):
    """The other end has closed, or takes nothing."""


class Session:
    """The connection of the moment: bytes and lines from it, text to it."""

    def __init__(self, iface, device, port):
        self.iface = iface
        self.device = device
        self.port = port
        self.socket = iface.add(TCPSocket(BUFFER, BUFFER))
        self.socket.nagle = False
        self.socket.keep_alive = 60000
        self.byte = bytearray(1)
        self.begin()

    def begin(self):
        """Forgets what the last client has left."""
        self.line = bytearray()
        self._telnet = 0  # bytes of a command of telnet's that are to be skipped
        self._sub = False
        self._last = 0

    def write(self, data):
        """Sends text, its line ends as telnet has them; raises Gone."""
        if not isinstance(data, str):
            data = bytes(data).decode()
        self.put(data.replace("\n", "\r\n").encode())
        return len(data)

    def put(self, data):
        """Sends bytes, all of them; raises Gone."""
        view = memoryview(data)
        since = board.ticks_ms()
        while view:
            n = self.socket.send(view)
            now = board.ticks_ms()
            if n == -EAGAIN:
                if (now - since) & 0x3FFFFFFF > STALL_MS:
                    raise Gone
                board.wait(self.device, 100)
                self.iface.poll(board.ticks_ms())
            elif n < 0:
                raise Gone
            else:
                view = view[n:]
                since = now
        self.iface.poll(board.ticks_ms())

    def take(self):
        """The next byte, telnet's own left out; -1 if there is none yet. Raises Gone."""
        while True:
            n = self.socket.recv_into(self.byte)
            if n == -EAGAIN:
                return -1
            if n <= 0:
                raise Gone
            byte = self.byte[0]
            last, self._last = self._last, byte
            # After its CR telnet sends a zero or a LF.
            if not self._skips(byte) and not (last == 13 and byte in (0, 10)):
                return byte

    def readline(self):
        """The next line without its end, or None if it is not complete; raises Gone."""
        while True:
            byte = self.take()
            if byte < 0:
                return None
            if byte in (10, 13):
                line, self.line = self.line, bytearray()
                return bytes(line).decode()
            if byte in (8, 127):
                self.line = self.line[:-1]
            elif byte == 4 and not self.line:
                raise Gone
            elif len(self.line) < LINE:
                self.line.append(byte)

    def _skips(self, byte):
        # Whether a byte belongs to telnet's negotiation, to which nothing is answered.
        if self._telnet == 0 and byte != _IAC:
            return self._sub
        if self._telnet == 0:
            self._telnet = 1
        elif self._telnet == 2:
            self._telnet = 0
        else:
            if byte == _SB:
                self._sub = True
            elif byte == _SE:
                self._sub = False
            self._telnet = 2 if _WILL <= byte < _IAC else 0
        return True


class Console:
    """A password, and what the lines of one session mean."""

    def __init__(self, session, password):
        self.session = session
        self.password = password.encode()
        self.active = False

    def step(self, now):
        """Does what there is to do at `now`; returns how long to wait, in ms (-1: no limit)."""
        session = self.session
        session.iface.poll(now)
        tcp = session.socket
        state = tcp.state
        if state == TCPSocket.TIME_WAIT:
            tcp.abort()
            state = TCPSocket.CLOSED
        if state == TCPSocket.CLOSED:
            self.active = False
            tcp.listen(session.port)
        elif state == TCPSocket.ESTABLISHED or state == TCPSocket.CLOSE_WAIT:
            try:
                self._serve(now)
            except (Gone, UnicodeError, SystemExit):
                self._end(now)
        elif state > TCPSocket.ESTABLISHED:
            while tcp.recv_into(session.byte) > 0:
                pass
            if (now - self.since) & 0x3FFFFFFF > STALL_MS:
                tcp.abort()
        left = session.iface.poll_delay(now)
        return 1000 if left < 0 else min(left, 1000)

    def _end(self, now):
        self.since = now
        if self.active:
            print("the session has ended")
        self.active = False
        self.session.socket.close()

    def _serve(self, now):
        session = self.session
        if not self.active:
            self.active = True
            self.since = now
            self.attempts = ATTEMPTS
            self.names = {"print": self._print, "quit": sys.exit}
            self.block = ""
            session.begin()
            session.write("password: ")
        line = session.readline()
        while line is not None:
            if self.attempts:
                self._check(line)
            else:
                self._take(line)
            line = session.readline()
        if self.attempts and (now - self.since) & 0x3FFFFFFF > LOGIN_MS:
            raise Gone

    def _check(self, line):
        if same(line.encode(), self.password):
            self.attempts = 0
            print("a session from", address.format(self.session.socket.remote_addr))
            self.session.write("MicroPython on %s\n>>> " % sys.platform)
            return
        self.attempts -= 1
        if not self.attempts:
            raise Gone
        self.session.write("no\npassword: ")

    def _take(self, line):
        # Lines that begin a block, and those within it, are gathered up to an empty one.
        if self.block or line.rstrip().endswith(":") or line[:1] == "@":
            if line:
                self.block += line + "\n"
                self.session.write("... ")
                return
            line, self.block = self.block, ""
        if line.strip():
            self._run(line)
        self.session.write(">>> ")

    def _run(self, source):
        try:
            try:
                code = compile(source, "<console>", "eval")
            except SyntaxError:
                exec(compile(source, "<console>", "exec"), self.names)
                return
            value = eval(code, self.names)
            if value is not None:
                self.names["_"] = value
                self.session.write(repr(value) + "\n")
        except (Gone, SystemExit):
            raise
        except BaseException as problem:
            text = io.StringIO()
            sys.print_exception(problem, text)
            self.session.write(text.getvalue())

    def _print(self, *args, sep=" ", end="\n", file=None):
        if file is not None:
            builtins.print(*args, sep=sep, end=end, file=file)
        else:
            self.session.write(sep.join(str(arg) for arg in args) + end)


def same(a, b):
    """Whether two strings of bytes are equal: takes as long wherever they differ."""
    wrong = len(a) ^ len(b)
    for i in range(len(a)):
        wrong |= a[i] ^ b[i % len(b)]
    return not wrong


def main(args):
    usage = "console.py [-a ADDR/PREFIX] [-g GATEWAY] [-p PORT] PASSWORD"
    given, (password,) = options.parse(args, usage, {"-p": "23"}, 1)
    if not password:
        options.stop("an empty password will not do")
    port = options.number(given, "-p", 1)
    device, iface = options.host(given, 1)
    console = Console(Session(iface, device, port), password)
    print("a console at %s, port %d" % (given["-a"].partition("/")[0], port))
    options.run(device, console.step)


if __name__ == "__main__":
    main(sys.argv[1:])
