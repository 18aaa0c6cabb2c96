"""The sockets of the pool, by themselves: what a listener, an orphan and a peek need of them."""

from harness import *
from smolmpy.compat.pooled import PooledTCP, PooledUDP
from states import check_state


def connection(rx=16, tx=16, passive=True, **opts):
    h = Host()
    s = h.add(PooledTCP(rx, tx))
    for name in opts:
        setattr(s, name, opts[name])
    if passive:
        s.listen_again(6969, None)
        p = Peer(h)
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.seq = p.ack = 1
        p.send("A")
    else:
        s.connect(PEER, 80)
        p = Peer(h, 80)
        p.expect("S", 0)
        p.ack = 1
        p.send("SA", 0, 1, mss=1460)
        p.expect("A", 1, 1)
        p.seq = 1
    check_state(s, "ESTABLISHED")
    return h, p, s


def test_what_waits_can_be_looked_at_and_searched():
    """From any place in the ring, as much as is asked for, and it stays."""
    h, p, s = connection(rx=16)
    p.send("PA", 1, 1, bytes(range(16)))
    assert recv(s) == bytes(range(16))  # up to the end of the ring, and no further
    h.advance(50)
    h.clear()
    at = 17
    for turn in range(20):
        data = bytes([65 + (turn + i) % 26 for i in range(1 + turn % 16)])
        p.send("PA", at, 1, data)
        at += len(data)
        n = len(data)
        for want in (0, 1, n - 1, n, n + 1, 99):
            if want < 0:
                continue
            buf = bytearray(b"\xee" * 20)
            got = s.peek_into(buf, want)
            assert got == min(want, n) and bytes(buf[:got]) == data[:got]
            assert bytes(buf[got:]) == b"\xee" * (20 - got)
            for i in range(n):
                found = s.find(data[i], want)
                assert found == (i + 1 if i < want else 0), (data, i, want, found)
            assert s.find(0, want) == 0
        assert s.recv_queue == n and s.news == 2 * n
        assert recv(s) == data and s.news == 0
        h.advance(50)
        h.clear()
    assert s.peek_into(bytearray(4), 4) == 0 and s.find(65, 9) == 0
    p.send("FA", at, 1, b"xy")
    assert s.news == 5
    recv(s)
    assert s.news == 1


def test_room_is_what_send_takes():
    h, p, s = connection(tx=16)
    assert s.room == 16
    assert s.send(bytes(10)) == 10 and s.room == 6
    assert s.send(bytes(10)) == 6 and s.room == 0
    h.run()
    p.send("A", 1, 5)
    assert s.room == 4


def test_options_of_a_new_connection():
    s = PooledTCP(16, 16)
    s.linger = 5
    s.keep_alive = s.timeout = 77
    s.quiet = True
    s.nagle = False
    s.reset_options()
    assert (s.linger, s.keep_alive, s.timeout) == (10000, 0, 0)
    assert s.quiet is False and s.nagle is True
    s.reset_options()
    assert s.nagle is True


def test_a_listener_listens_again_at_its_address():
    h = Host()
    h.iface.add_address("192.168.69.2/24")
    h.run()
    h.clear()
    s = h.add(PooledTCP(16, 16))
    for where in (None, addr(OUR), addr("192.168.69.2"), None):
        s.listen_again(80, where)
        check_state(s, "LISTEN")
        for to in (OUR, "192.168.69.2"):
            h.inject(tcp(5000, 80, "S", 7, dst=to))
            p = h.expect("tcp", src=to)
            assert p.flags == ("SA" if where in (None, addr(to)) else "RA"), (where, to)
            if p.flags == "SA":
                # Back to listening at the same address.
                h.inject(tcp(5000, 80, "R", 8, dst=to))
                check_state(s, "LISTEN")
        s.abort()
        h.run()
        h.clear()


class Owner:
    def __init__(self, gone):
        self.answer = gone

    def gone(self, socket):
        return self.answer


def test_how_long_a_connection_may_be_left_alone():
    for passive in (True, False):
        h, p, s = connection(passive=passive)
        for gone in (True, False):
            s.owner = Owner(gone)
            for idle in (None, -1, 0, 1, 4999, 5000, 5001, 90000):
                if gone:
                    want = idle if idle is not None and 0 <= idle < 5000 else 5000
                elif idle is None:
                    want = 60000 if passive else -1
                else:
                    want = idle
                assert s.patience(idle) == want, (passive, gone, idle)
    u = PooledUDP(16, 16, 2)
    assert (u.patience(None), u.patience(-1), u.patience(7)) == (-1, -1, 7)


def test_a_client_is_asked_once_whether_it_is_there():
    for passive in (True, False):
        h, p, s = connection(passive=passive)
        s.ask()
        assert (s.timeout, s.keep_alive) == ((60000, 10000) if passive else (0, 0))
        s.keep_alive = 5
        s.ask()  # it has been
        assert s.keep_alive == 5


def test_what_becomes_of_an_orphan():
    """It is over when its connection is; without progress it is given up after `linger` ms."""
    h, p, s = connection(tx=64)
    s.send(b"0123456789")
    s.owner = Owner(False)
    s.turn = 9
    s.surrender()
    assert s.owner is None and s.orphan and s.turn == 0
    h.run()
    assert s.over(h.now) is False
    h.t += 10000
    assert s.over(h.now) is False and s.stalled(h.now) == 10000
    check_state(s, "FIN_WAIT_1")
    # Progress begins the time anew.
    p.send("A", 1, 6)
    assert s.over(h.now) is False and s.stalled(h.now) == 0
    h.t += 10000
    assert s.over(h.now) is False
    h.t += 1
    assert s.over(h.now) is False, "the reset has to leave first"
    check_state(s, "CLOSED")
    h.clear()
    h.run()
    assert "R" in h.expect("tcp").flags
    assert s.over(h.now) is True


def test_an_orphan_whose_peer_has_all_is_reset_when_more_comes():
    h, p, s = connection(tx=64)
    s.surrender()
    p.expect("FA", 1, 1)
    s.over(h.now)
    p.send("A", 1, 2)
    check_state(s, "FIN_WAIT_2")
    assert s.over(h.now) is False
    check_state(s, "FIN_WAIT_2")
    p.send("A", 1, 2, b"late")
    assert s.over(h.now) is False
    check_state(s, "CLOSED")
    assert "R" in h.expect("tcp").flags
    assert s.over(h.now) is True
    # While the peer has not got all, what comes is dropped with the rest, later.
    h, p, s = connection(tx=64)
    s.send(b"abc")
    s.surrender()
    h.run()
    p.send("A", 1, 1, b"more")
    assert s.over(h.now) is False
    check_state(s, "FIN_WAIT_1")


def test_time_wait_lasts_however_long_nothing_goes_on():
    h, p, s = connection()
    s.linger = 1
    s.time_wait = 240000
    s.surrender()
    p.expect("FA", 1, 1)
    p.send("FA", 1, 2)
    check_state(s, "TIME_WAIT")
    s.over(h.now)
    h.t += 5000
    assert s.over(h.now) is False
    check_state(s, "TIME_WAIT")


def test_an_orphan_hurries_where_its_place_is_needed():
    h, p, s = connection()
    s.surrender()
    p.expect("FA", 1, 1)
    s.over(h.now)
    assert s.hurry(h.now + 60000) is False
    check_state(s, "FIN_WAIT_1")
    p.send("A", 1, 2)
    s.over(h.now)
    assert s.hurry(h.now + 1000) is False
    check_state(s, "FIN_WAIT_2")
    assert s.hurry(h.now + 1001) is False
    check_state(s, "CLOSED")
    h, p, s = connection()
    s.surrender()
    p.expect("FA", 1, 1)
    p.send("FA", 1, 2)
    check_state(s, "TIME_WAIT")
    assert s.hurry(h.now) is True
    check_state(s, "CLOSED")


def test_datagrams_that_wait_can_be_looked_at():
    h = Host()
    s = h.add(PooledUDP(64, 64, 3))
    s.bind(7)
    assert s.next_length == -1 and s.news == 0
    assert s.peek_into(bytearray(4), 4) == EAGAIN
    for turn in range(5):
        h.inject(udp(5000 + turn, 7, b"first%d" % turn), udp(6000, 7, b"", src="192.168.69.9"))
        assert s.next_length == 6 and s.news == 4
        for room in (0, 3, 6, 20):
            buf = bytearray(b"\xee" * 20)
            assert s.peek_into(buf, room) == 6
            n = min(room, 6)
            assert bytes(buf) == (b"first%d" % turn)[:n] + b"\xee" * (20 - n)
            assert bytes(s.remote_addr) == addr(PEER) and s.remote_port == 5000 + turn
            assert bytes(s.local_addr) == addr(OUR)
        assert recv(s) == b"first%d" % turn
        assert s.next_length == 0 and s.news == 2
        assert s.recv_into(bytearray(4)) == 0
        assert s.next_length == -1 and s.news == 0
    # An error is news, and told by a look as well, once.
    s.connect(PEER, 9)
    s.send(b"x")
    sent = h.expect("udp")
    h.inject(icmp(3, 3, data=sent.frame[14:42]))
    assert s.news == 1
    assert s.peek_into(bytearray(4), 4) == -111 and s.news == 0
    h.inject(icmp(3, 3, data=sent.frame[14:42]), udp(9, s.local_port, b"data"))
    assert s.news == 3


def test_an_orphan_of_udp_sends_what_is_queued_for_three_seconds():
    for ms, over in ((0, False), (2999, False), (3000, True), (9000, True)):
        h = Host(neighbor=False, start=(1 << 30) - 1000)
        s = h.add(PooledUDP(64, 64, 3))
        s.bind(7)
        s.owner = Owner(False)
        s.send_to(b"x", addr(PEER), 9)
        h.run()
        s.surrender()
        assert s.owner is None and s.orphan
        assert s.over(h.now) is False
        assert s.over((h.now + ms) & 0x3FFFFFFF) is over, ms
        assert (s.local_port == 0) == over
    h = Host()
    s = h.add(PooledUDP(64, 64, 3))
    s.bind(7)
    s.surrender()
    assert s.over(h.now) is True
    # What has been dropped is not sent.
    s.bind(7)
    s.send_to(b"x", addr(PEER), 9)
    s.abort()
    h.expect_nothing()
