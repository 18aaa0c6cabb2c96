"""The numbers of an interface: one array('I'), opened by every layer."""

from array import array

import micropython
from micropython import const

#     0   the block of kernel calls (smolmpy/kernel): 4 words
#     4   NOW             time of this poll, milliseconds modulo 2^30
#     5   NEXT_DUE        the earliest entry of the due table, 0 for none; may be early, never late
#     6   WORK            set while a socket is marked in the dirty table
#     7   SRC, DST        addresses of the packet in hand
#     9   PORTS           its ports: the remote one << 16 | the local one
#     10  PSEUDO          sum of its pseudo-header, length and protocol included, not folded
#     11  GROUP           not 0: it was sent to a broadcast or multicast address
#     12  MAC_HI, MAC_LO  our Ethernet address: 2 and 4 bytes
#     14  PEER_HI, PEER_LO an Ethernet address that ARP has in hand
#     16  SENDING         set while transmit() of the device is at work
#     17  ERRORS_LEFT     ICMP errors that may be sent at once, and when that was reckoned
#     18  ERRORS_TIME
#     19  FLAGS           see below
#     20  ANNOUNCE        a bit for each address whose gratuitous ARP is due
#     21  QUOTED, QUOTED_MTU  an ICMP error in hand: the sequence number that it quotes; its MTU
#     23  RAW             number of raw sockets
#     24  ADDRESSES       number of addresses
#     25  ROUTES, ROUTES_LEN        where the route table begins, how many entries are used
#     27  NEIGHBORS, NEIGHBORS_LEN  where the neighbor cache begins, how many entries it has
#     29  DUES, DIRTY     where the due and dirty tables begin
#     31  SLOTS           how many sockets the tables hold
#     32  counters, in the order of counters.py; 71 words are set aside
#     103 LAST_TCB, LAST_RX, LAST_TCP     where the control block and the receive ring of the
#                         connection are that had a segment last, and its slot; 0 for none, and
#                         always but on ARM (tcp_prediction_thumb.py)
#     106 LAST_PORTS, LAST_SRC, LAST_DST, LAST_SLOT   where the last datagram or segment went: the
#                         protocol << 16 | the slot; LAST_PORTS is 0 when that is not to be
#                         relied on
#     110 CLOCK           milliseconds since the first poll, modulo 2^32
#     111 TS_SEEN, TS_VALUE, TS_ECHO  the timestamps of the TCP segment in hand, if it has any
#     114 SACK_AT         where its SACK option lies, 0 for none
#     115 TOS             type of service of the packet in hand
#     116 COOKIE_TIME     2^16 and when the last SYN cookie was sent, in units of 2^16 ms
#     117 WATCHED         an address that somebody else should not have, 0 for none
#     118 WATCHER         the slot of who wants to know << 2; 1 somebody has it, 2 somebody asks it
#     120 KEY             two words that nobody else knows (secret.py)
#     122 NONCE           counts the random numbers drawn
#     123 HASH            the result of secret.py
#     124 EPHEMERAL       the last ephemeral port that was given out
#     125 OPTIONS         bytes of IP options that the packet in hand had
#     126 NEXT_STALE      NEXT_DUE may be too early
#     127 FRAME_SIZE      length of the frame buffer
#     128 addresses, ADDRESS_WORDS each: address, mask; then, behind the last,
#         routes (route.py), neighbors (neighbor.py),
#         due: a word for each socket, when its timer fires, 0 for never; and one for the device,
#         dirty: a bit for each socket that has something to send, 16 to a word.
#
# FLAGS: 1 the device is a loopback; 2 frames were left in the device; 4 the device was full;
# 8 a DHCP server may write to an address that is not ours yet; 16 an ACK goes out with the next
# poll, unless something else takes it along before; 32 an exception has come out of poll();
# 64 to 1024 how often receive() has failed in polls one after the other; 2048 the device is to be
# asked whatever it says.

_WORK = const(6)
_MAC_HI = const(12)
_MAC_LO = const(13)
_ERRORS_LEFT = const(17)
_ROUTES = const(25)
_NEIGHBORS = const(27)
_NEIGHBORS_LEN = const(28)
_DUES = const(29)
_DIRTY = const(30)
_SLOTS = const(31)
_ADDRESS_TABLE = const(128)

_ADDRESS_WORDS = const(2)
_ROUTE_WORDS = const(4)
_NEIGHBOR_WORDS = const(4)


def make(mac, sockets, neighbors, routes, addresses):
    """The array for an interface with tables of these sizes; neighbors is a power of two."""
    route_table = _ADDRESS_TABLE + _ADDRESS_WORDS * addresses
    neighbor_table = route_table + _ROUTE_WORDS * routes
    dues = neighbor_table + _NEIGHBOR_WORDS * neighbors
    dirty = dues + sockets + 1
    words = dirty + (sockets + 15) // 16
    st = array("I", (0 for _ in range(words)))
    st[_MAC_HI] = (mac[0] << 8) | mac[1]
    st[_MAC_LO] = (mac[2] << 24) | (mac[3] << 16) | (mac[4] << 8) | mac[5]
    st[_ERRORS_LEFT] = 10
    st[_ROUTES] = route_table
    st[_NEIGHBORS] = neighbor_table
    st[_NEIGHBORS_LEN] = neighbors
    st[_DUES] = dues
    st[_DIRTY] = dirty
    st[_SLOTS] = sockets
    st[_ADDRESS_TABLE + 1] = 0xFFFFFFFF  # nobody is on the link of an address that there is not
    return st


@micropython.viper
def wake_all(st: ptr32):
    """Marks every socket as having something to send: whoever has nothing says so."""
    i = 0
    n = st[_SLOTS]
    while i < n:
        st[st[_DIRTY] + (i >> 4)] |= 1 << (i & 15)
        i += 1
    st[_WORK] = 1
