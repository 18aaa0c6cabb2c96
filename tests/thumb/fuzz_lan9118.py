"""The words of a LAN9118 in assembly against those in viper, on a chip that counts."""

from array import array

from cortex_m import PORTS
from emulated import core
from smolmpy.phy import lan9118_thumb, lan9118_words

LENGTHS = (*range(40), 365, 379)
RECEIVE, TRANSMIT = 0, 32


class Fifos:
    """Words that come and go, for either edition: by index, or at addresses."""

    def __init__(self):
        self.next = 0x8000_0000
        self.sent = []
        core.port(RECEIVE, read=self.read)
        core.port(TRANSMIT, write=self.sent.append)

    def read(self):
        self.next += 0x0101_0102
        return self.next & 0xFFFF_FFFF

    def __getitem__(self, index):
        assert index == RECEIVE // 4
        return self.read()

    def __setitem__(self, index, value):
        assert index == TRANSMIT // 4
        self.sent.append(value)


def test_pull():
    for n in LENGTHS:
        words = array("I", bytes(4 * n)), array("I", bytes(4 * n))
        assert lan9118_words.pull(Fifos(), words[0], n) == 0
        Fifos()
        assert lan9118_thumb.pull(PORTS, words[1], n) == 0
        assert words[0] == words[1], n


def test_push():
    for n in LENGTHS:
        words = array("I", (0xFFFF_FFFF - 0x0101_0101 * (i & 127) for i in range(n)))
        fifos = Fifos(), Fifos()
        assert lan9118_words.push(fifos[0], words, n) == 0
        assert lan9118_thumb.push(PORTS, words, n) == 0
        assert fifos[0].sent == fifos[1].sent == list(words), n
