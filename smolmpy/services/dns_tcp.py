"""A question over TCP (RFC 7766): loaded when an answer did not fit a datagram."""

from ..errno import EAGAIN, ECONNRESET
from ..tcp.socket import TCPSocket
from ..wire.address import from_word
from .dns_message import write_question

_TX_SIZE = 280  # 2 bytes of length, the header, a name, type and class


class Stream:
    """One connection at a time, to whoever is the owner; its socket is made once."""

    def __init__(self, iface, size):
        self.iface = iface
        self.owner = None
        self.buffer = bytearray(size + 2)
        self._view = memoryview(self.buffer)
        self._socket = TCPSocket(size, _TX_SIZE)
        self._question = bytearray(_TX_SIZE)
        self._sent = False
        self._got = 0

    def begin(self, query, words, port):
        """Connects to the server in words[0]; False if that can not be."""
        try:
            self.iface.add(self._socket)
        except OSError:
            return False
        self.owner = query
        self._sent = False
        self._got = 0
        self._socket.timeout = 10000
        try:
            self._socket.connect(from_word(words[0]), port)
        except OSError:
            self.end()
            return False
        return True

    def step(self):
        """Goes on; the length of what is in the buffer at the end, -EAGAIN before, or an errno."""
        socket = self._socket
        if not self._sent:
            query = self.owner
            question = self._question
            end = write_question(question, 2, query._ident, query._label, query._length)
            question[0] = (end - 2) >> 8
            question[1] = (end - 2) & 255
            code = socket.send(question, end)
            if code < 0:
                return code
            self._sent = True
        while True:
            size = len(self.buffer)
            if self._got >= 2:
                size = min(size, 2 + ((self.buffer[0] << 8) | self.buffer[1]))
                if self._got >= size:
                    return size  # and what follows is not asked for
            code = socket.recv_into(self._view[self._got :], size - self._got)
            if code == -EAGAIN:
                return code
            if code <= 0:
                return code or -ECONNRESET
            self._got += code

    def end(self):
        """Breaks the connection off, if there is one."""
        if self.owner is not None:
            self.owner = None
            self._socket.abort()
            self._socket._egress()  # the reset, before its place is gone
            self.iface.remove(self._socket)
