"""RFC 9293 sections 3.9.1 and 3.10.1 to 3.10.6: the calls, in every state."""

from states import *

ALL = ("LISTEN", "SYN_SENT", "SYN_RECEIVED") + SYNCHRONIZED


def fresh():
    h = Host()
    return h, h.add(TCPSocket(64, 64))


def test_3_10_1_open_closed():
    h, s = fresh()
    check_state(s, "CLOSED")
    assert not s.is_open and not s.may_send() and not s.may_recv()
    s.listen(80)
    check_state(s, "LISTEN")
    h.expect_nothing()


def test_3_10_1_open_listen_may_become_active():
    # Or it is an error, "connection already exists"; the state is then as before.
    h, s = fresh()
    s.listen(80)
    try:
        got = s.connect(PEER, 80)
    except OSError:
        got = -1
    check_state(s, "SYN_SENT" if got == 0 else "LISTEN")


def test_3_10_1_open_twice_is_an_error():
    for name in ALL[1:]:
        h, p, s = in_state(name)
        for call, args in ((s.connect, (PEER, 81)), (s.listen, (81,))):
            try:
                got = call(*args)
            except OSError:
                got = -1
            if name != "TIME_WAIT":
                assert got is not None and got < 0, name
                check_state(s, name)


def test_3_10_1_arguments():
    h, s = fresh()
    raises(ValueError, "port", s.listen, 0)
    raises(ValueError, "port", s.listen, 65536)
    raises(ValueError, "port", s.connect, PEER, 0)
    raises(ValueError, "port", s.connect, PEER, 70000)
    raises(ValueError, "addr", s.connect, "1.2.3", 80)
    raises(ValueError, "addr", s.connect, b"abc", 80)
    raises(ValueError, "port", s.connect, PEER, 80, -1)
    raises(ValueError, "addr", s.listen, 80, "hello")
    raises((ValueError, TypeError), "", TCPSocket, "ab", 64)
    raises((ValueError, TypeError), "", TCPSocket, 0, 64)
    raises((ValueError, TypeError), "", TCPSocket, 64, -1)
    check_state(s, "CLOSED")
    h.expect_nothing()


def test_socket_that_was_never_added():
    s = TCPSocket(64, 64)
    raises(OSError, "", s.listen, 80)
    raises(OSError, "", s.connect, PEER, 80)
    assert s.send(b"x") == -107 and recv(s) == -107


def test_3_10_2_send_in_every_state():
    want = {
        "LISTEN": -107,
        "SYN_SENT": EAGAIN,
        "SYN_RECEIVED": EAGAIN,
        "ESTABLISHED": 1,
        "CLOSE_WAIT": 1,
    }
    h, s = fresh()
    assert s.send(b"x") == -107 and recv(s) == -107
    for name in ALL:
        h, p, s = in_state(name)
        got = s.send(b"x")
        assert got == want.get(name, -32), (name, got)
        # can_send means that the call would return something else than EAGAIN.
        h, p, s = in_state(name)
        assert s.can_send() == (want.get(name, -32) != EAGAIN), name
        if "SYN" not in name:
            assert s.may_send() == (want.get(name) == 1), name


def test_3_10_2_send_queues_what_fits():
    h, p, s = established(tx=10)
    assert s.send(b"0123456789abc") == 10
    assert s.send(b"x") == EAGAIN and not s.can_send()
    p.expect("A", 1, 1, b"0123456789")
    assert s.send_queue == 10 and s.send(b"x") == EAGAIN
    p.send("A", 1, 5)
    assert s.send_queue == 6 and s.can_send() and s.send(b"abcdef") == 4
    p.send("A", 1, 11)
    p.expect("A", 11, 1, b"abcd")


def test_3_10_2_send_of_part_of_a_buffer():
    h, p, s = established()
    b = bytearray(b"0123456789")
    assert s.send(b, 4) == 4
    p.expect("A", 1, 1, b"0123")
    assert s.send(memoryview(b)[4:6]) == 2
    p.send("A", 1, 5)
    p.expect("A", 5, 1, b"45")
    assert s.send(b"") == 0
    assert s.send(b, 0) == 0


def test_3_10_2_what_was_sent_is_a_copy():
    h, p, s = established()
    b = bytearray(b"abc")
    s.send(b)
    b[:] = b"xyz"
    p.expect("A", 1, 1, b"abc")


def test_3_10_3_receive_in_every_state():
    for name in ALL:
        h, p, s = in_state(name)
        got = recv(s)
        want = {
            "LISTEN": (-107,),
            "SYN_SENT": (EAGAIN, -107),
            "SYN_RECEIVED": (EAGAIN, -107),
            "ESTABLISHED": (EAGAIN,),
            "FIN_WAIT_1": (EAGAIN,),
            "FIN_WAIT_2": (EAGAIN,),
            "TIME_WAIT": (0, -107),
        }.get(name, (0,))
        assert got in want, (name, got)
        h, p, s = in_state(name)
        assert s.can_recv() == (got != EAGAIN), name


def test_3_10_3_receive_in_parts():
    h, p, s = established()
    p.send("A", 1, 1, b"0123456789")
    b = bytearray(20)
    assert s.recv_into(b, 3) == 3 and bytes(b[:4]) == b"012\x00"
    assert s.recv_into(memoryview(b)[5:9]) == 4 and bytes(b[5:9]) == b"3456"
    assert s.recv_queue == 3 and s.recv_into(b) == 3
    assert s.recv_into(b) == EAGAIN


def test_3_10_3_data_is_readable_after_the_close_by_the_peer():
    h, p, s = established()
    p.send("FA", 1, 1, b"abc")
    s.close()
    h.run()
    h.clear()
    p.send("A", 5, 2)
    check_state(s, "CLOSED")
    assert recv(s) == b"abc"
    assert recv(s) in (0, -107)


def test_3_10_4_close_in_every_state():
    for name, then, fin in (
        ("LISTEN", "CLOSED", False),
        ("SYN_SENT", "CLOSED", False),
        ("SYN_RECEIVED", "FIN_WAIT_1", True),
        ("ESTABLISHED", "FIN_WAIT_1", True),
        ("FIN_WAIT_1", "FIN_WAIT_1", False),
        ("FIN_WAIT_2", "FIN_WAIT_2", False),
        ("CLOSE_WAIT", "LAST_ACK", True),
        ("CLOSING", "CLOSING", False),
        ("LAST_ACK", "LAST_ACK", False),
        ("TIME_WAIT", "TIME_WAIT", False),
    ):
        h, p, s = in_state(name)
        s.close()
        h.run()
        check_state(s, then)
        if fin:
            p.expect("FA", 1, p.seq)
        h.expect_nothing()


def test_3_10_4_close_in_syn_received_is_orderly():
    h, p, s = in_state("SYN_RECEIVED")
    s.close()
    p.expect("FA", 1, 1)
    p.send("A", 1, 1)
    p.send("A", 1, 2)
    check_state(s, "FIN_WAIT_2")


def test_3_10_4_close_in_syn_sent_answers_a_late_syn_ack_by_a_reset():
    h, p, s = in_state("SYN_SENT")
    s.close()
    h.advance(10000)
    h.expect_nothing()
    p.send("SA", 0, 1)
    p.expect("R", 1)


def test_3_10_4_close_twice_and_in_closed_is_harmless():
    h, s = fresh()
    s.close()
    s.close()
    s.abort()
    check_state(s, "CLOSED")
    h.expect_nothing()


def test_3_10_4_after_close_sending_is_over():
    h, p, s = established()
    s.close()
    assert s.send(b"x") == -32 and not s.may_send() and s.may_recv()


def test_3_10_6_status():
    h, p, s = established()
    assert s.state_name == "ESTABLISHED" and "ESTABLISHED" in repr(s)
    assert s.local_port == 6969 and s.remote_port == p.port
    assert bytes(s.local_addr) == addr(OUR) and bytes(s.remote_addr) == addr(PEER)
    assert s.recv_queue == 0 and s.send_queue == 0


def test_buffers_of_the_caller():
    h = Host()
    rx, tx = bytearray(64), bytearray(32)
    s = h.add(TCPSocket(rx, tx))
    s.listen(6969)
    p = Peer(h)
    p.send("S", 0)
    p.expect("SA", 0, 1, win=64)
    p.send("A", 1, 1, b"hello")
    assert recv(s) == b"hello"
    assert s.send(bytes(64)) == 32


def test_reverse_service_for_a_long_time():
    # Each chunk comes back reversed, through buffers of 64 bytes, past several ring turns.
    h, p, s = established(rx=64, tx=64, iss=M32 - 500)
    at = 1
    back = 1
    for i in range(100):
        data = bytes((i + k) & 255 for k in range(1 + i % 64))
        p.send("A", at, back, data)
        at += len(data)
        got = recv(s)
        assert got == data
        assert s.send(bytes(reversed(got))) == len(data)
        h.run()
        out = b""
        while h.device.sent:
            r = p.expect(None, None, at)
            out += r.data
        assert out == bytes(reversed(data)), i
        back += len(out)
    p.send("A", at, back)
    assert s.send_queue == 0


def test_may_recv_in_every_state():
    for name in ALL:
        h, p, s = in_state(name)
        assert s.may_recv() == (name in RECEIVING), name
        assert s.is_open == (name != "TIME_WAIT"), name


def test_data_counts_for_may_recv_when_the_half_is_closed():
    h, p, s = established()
    p.send("FA", 1, 1, b"x")
    assert s.may_recv() and s.can_recv()
    recv(s)
    assert not s.may_recv() and s.can_recv()


def test_counts_are_checked():
    h, p, s = established()
    b = bytearray(8)
    assert s.send(b, 8) == 8 and s.send(b, 0) == 0
    p.send("A", 1, 1, b"12345678")
    assert s.recv_into(b, 8) == 8 and bytes(b) == b"12345678"
    # More than the buffer holds is not read beyond its end, nor written.
    assert s.send(b, 9) == 8
    p.send("A", 9, 9, b"123456789")
    assert s.recv_into(b, 9) == 8 and s.recv_queue == 1


def test_options_are_checked():
    s = TCPSocket(64, 64)
    for name in ("ack_delay", "keep_alive", "timeout", "time_wait", "hop_limit"):
        for bad in (-1, "x", None, 1 << 40):
            try:
                setattr(s, name, bad)
            except (ValueError, TypeError):
                continue
            raise AssertionError("%s = %r accepted" % (name, bad))


def test_flush_sends_at_once():
    h, p, s = established()
    other = h.add(TCPSocket(64, 64))
    assert s.flush() == 0
    s.send(b"now")
    assert s.flush() == 1
    assert h.iface.poll_delay(h.now) > 0
    p.expect("PA", 1, 1, b"now")
    # What others have to send waits for its turn.
    other.connect(PEER, 80)
    s.send(b"more")
    s.nagle = False
    assert s.flush() == 1
    p.expect("PA", 4, 1, b"more")
    assert h.iface.poll_delay(h.now) == 0
    h.expect("tcp", dport=80)
    raises(OSError, "add", TCPSocket(64, 64).flush)


def test_flush_with_a_full_device():
    h, p, s = established()
    s.send(b"now")
    h.device.refuse = EAGAIN
    assert s.flush() == 0
    h.device.refuse = 0
    h.run()
    p.expect("PA", 1, 1, b"now")


def test_slices():
    h, p, s = established(rx=100, tx=100)
    buf = bytearray(b"0123456789")
    assert s.recv_slice(buf, 10) == EAGAIN
    assert s.send_slice(buf, 4) == 4
    assert s.send_slice(buf, 1000) == 10
    assert s.send_slice(buf, 0) == 0
    p.expect("PA", 1, 1, b"01230123456789")
    p.send("PA", 1, 15, b"abcdef")
    assert s.recv_slice(buf, 2) == 2
    assert s.recv_slice(buf, 1000) == 4
    assert bytes(buf) == b"cdef456789"
    p.send("PA", 7, 15, bytes(50))
    assert s.recv_slice(buf, 1000) == 10
    for call in (s.recv_slice, s.send_slice):
        assert call(buf, -1) == -22
        raises(TypeError, "", call, 5, 5)


def test_3_10_6_an_aborted_socket_keeps_what_was_chosen_and_nothing_else():
    for nagle in (True, False):
        h, p, s = established(nagle=nagle)
        s.abort()
        h.run()
        h.clear()
        assert s.nagle == nagle
        s.listen(6969)
        p = Peer(h)
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1)
        check_state(s, "ESTABLISHED")
        assert s.nagle == nagle
        # Nagle's algorithm: a second small segment waits for the first.
        s.send(b"a")
        p.expect("A", 1, 1, b"a")
        s.send(b"b")
        if nagle:
            h.expect_nothing()
        else:
            p.expect("A", 2, 1, b"b")
