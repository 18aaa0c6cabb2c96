"""A host that answers: ping, UDP and TCP, at 192.168.69.1.

UDP port 6969 answers `yo dawg` to any datagram that a client may have sent to us. TCP port 6969
sends back what it receives, each piece reversed. The buffers are 64 bytes long, so a peer meets
their limits at once. Once it runs it allocates nothing.

Several sockets listen on the TCP port: each serves one client and then listens again.
"""

import smolmpy_board as board
from smolmpy import Interface, TCPSocket, UDPSocket

MAC = "02-00-00-00-00-01"
ADDRESS = "192.168.69.1"
PORT = 6969
SIZE = 64
CLIENTS = 4
ANSWER = b"yo dawg"


class Server:
    def __init__(self, device):
        self.iface = Interface(device, getattr(device, "mac", None) or MAC)
        self.iface.add_address(ADDRESS + "/24")
        self.udp = self.iface.add(UDPSocket(SIZE, SIZE))
        self.udp.bind(PORT, ADDRESS)  # not what is sent to all
        self.clients = [self.iface.add(TCPSocket(SIZE, SIZE)) for _ in range(CLIENTS)]
        self.piece = bytearray(SIZE)
        self.start = memoryview(self.piece)[: len(ANSWER)]

    def step(self, now):
        """Does what there is to do at `now`; returns how long to wait, in ms (-1: no limit)."""
        self.iface.poll(now)
        self.answer_datagrams()
        for tcp in self.clients:
            self.reverse_stream(tcp)
        return self.iface.poll_delay(now)

    def answer_datagrams(self):
        # A datagram's sender may be forged. If it is a server, one like this or an echo service,
        # an answer would be answered, and that again, for ever; a client has another port.
        udp = self.udp
        n = udp.recv_into(self.piece)
        while n >= 0:
            is_answer = n == len(ANSWER) and self.start == ANSWER
            if udp.remote_port >= 1024 and udp.remote_port != PORT and not is_answer:
                udp.reply(ANSWER)
            n = udp.recv_into(self.piece)

    def reverse_stream(self, tcp):
        if tcp.state == TCPSocket.CLOSED:
            tcp.listen(PORT)
        # What is taken has to fit into the send buffer, where the last answers may still be.
        room = SIZE - tcp.send_queue
        while room:
            n = tcp.recv_into(self.piece, room)
            if n <= 0:
                if n == 0:
                    tcp.close()
                return
            reverse(self.piece, n)
            tcp.send(self.piece, n)
            room -= n


def reverse(buf, n):
    i = 0
    n -= 1
    while i < n:
        byte = buf[i]
        buf[i] = buf[n]
        buf[n] = byte
        i += 1
        n -= 1


def main():
    device = board.device()
    server = Server(device)
    print("%s answers ping, UDP port %d and TCP port %d" % (ADDRESS, PORT, PORT))
    try:
        while True:
            board.wait(device, server.step(board.ticks_ms()))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
