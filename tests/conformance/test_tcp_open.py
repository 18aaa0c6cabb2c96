"""RFC 9293 section 3.5: establishing connections, half-open connections, resets; 3.4.1."""

from states import *


def test_3_5_active_open():
    h, p, s = connecting(port=80)
    check_state(s, "SYN_SENT")
    assert s.state_name == "SYN_SENT"
    assert s.remote_port == 80 and bytes(s.remote_addr) == addr(PEER)
    assert s.local_port >= 1024
    p.send("SA", 0, 1, mss=1460)
    p.expect("A", 1, 1, b"")
    check_state(s, "ESTABLISHED")
    s.send(b"hello")
    p.expect("A", 1, 1, b"hello")
    h.expect_nothing()


def test_3_5_syn_carries_mss_and_a_window():
    h = Host()
    s = h.add(TCPSocket(3000, 100))
    s.connect(PEER, 80, 4000)
    p = Peer(h, port=80)
    r = p.expect("S", 0, mss=1460, urg=0, data=b"")
    assert r.sport == 4000 and r.ack == 0 and r.win == 3000, r


def test_3_5_passive_open():
    h, p, s = established()
    assert s.is_open and s.may_send() and s.may_recv()
    assert s.can_send() and not s.can_recv()


def test_3_5_window_of_the_syn_ack_counts_from_the_start():
    h, s = listener()
    p = Peer(h)
    p.send("S", 0, win=3, mss=1460)
    p.expect("SA", 0, 1)
    s.send(b"x") if s.can_send() else None
    p.send("A", 1, 1, win=3)
    s.send(b"abcdefg")
    r = p.expect("A", 1, 1)
    assert len(r.data) <= 3, r


def test_3_5_syn_ack_is_lost():
    h, p, s = syn_received()
    r = None
    h.advance(1500)
    r = p.expect("SA", 0, 1)
    assert 900 <= r.at <= 1100, r
    h.expect_nothing()
    p.send("A", 1, 1)
    check_state(s, "ESTABLISHED")
    h.advance(5000)
    h.expect_nothing()


def test_3_5_last_ack_of_the_handshake_is_lost_but_data_follows():
    h, p, s = syn_received()
    p.send("A", 1, 1, b"data")
    check_state(s, "ESTABLISHED")
    assert recv(s) == b"data"


def test_3_5_our_ack_of_the_syn_ack_is_lost():
    h, p, s = connected()
    p.send("SA", 0, 1, mss=1460)
    p.expect("A", 1, 1, b"")
    check_state(s, "ESTABLISHED")
    h.expect_nothing()


def test_3_5_old_duplicate_syn():
    # Figure 8: an old SYN arrives first; the peer's reset returns the listener to LISTEN.
    h, s = listener()
    old = Peer(h, iss=90)
    old.send("S", 0)
    old.expect("SA", 0, 1)
    old.send("R", 1)
    check_state(s, "LISTEN")
    p = Peer(h, iss=100)
    p.send("S", 0)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1)
    check_state(s, "ESTABLISHED")


def test_3_5_1_half_open_peer_restarts_and_connects():
    # Figure 9, with the challenge ACK of RFC 5961: the peer resets the old connection.
    h, p, s = established()
    p.send("S", 1000)
    p.expect("A", 1, 1, b"")
    p.send("R", 1)
    check_state(s, "CLOSED")
    assert recv(s) == -104


def test_3_5_1_half_open_active_side_sends_and_is_reset():
    # Figure 10.
    h, p, s = established()
    s.send(b"data")
    p.expect("A", 1, 1, b"data")
    p.send("R", 1)
    check_state(s, "CLOSED")
    assert s.send(b"x") == -104


def test_3_5_1_we_restart():
    # Figure 11: data for a connection that we do not know is reset.
    h, s = listener()
    p = Peer(h, to=1)
    p.send("A", 5, 0x1234, b"data")
    h.expect("tcp", flags="R", seq=0x1234)


def test_3_5_2_reset_is_never_answered_by_a_reset():
    h, s = listener()
    p = Peer(h, to=1)
    for flags in ("R", "RA"):
        p.send(flags, 9, 9)
    h.expect_nothing()


def test_3_5_2_resets_are_small_and_have_no_options():
    h, s = listener()
    p = Peer(h, to=1)
    p.send("S", 0, mss=1460, ws=7, sackok=True, ts=(1, 0))
    r = h.expect("tcp", flags="RA", win=0, data=b"")
    assert len(r.payload) == 20


def test_3_5_2_resets_are_limited_in_rate_or_at_least_one_each():
    h, s = listener()
    p = Peer(h, to=1)
    for _ in range(50):
        p.send("S", 0)
    n = len(h.device.sent)
    assert 1 <= n <= 50


def test_3_5_syn_gives_up():
    # MUST-23: R2 for a SYN is at least 3 minutes.
    h, p, s = connecting()
    h.advance(179000)
    check_state(s, "SYN_SENT")
    h.advance(1800000)
    check_state(s, "CLOSED")
    assert recv(s) == -110
    n = len(h.device.sent)
    assert 5 <= n <= 20, n


def test_3_5_connect_to_a_silent_neighbor_gives_up():
    h = Host(neighbor=False)
    s = h.add(TCPSocket(64, 64))
    s.connect(PEER, 80)
    h.advance(3600000)
    check_state(s, "CLOSED")
    assert recv(s) in (-110, -113)
    h.clear()
    h.advance(60000)
    h.expect_nothing()


def test_3_5_user_timeout_with_a_silent_neighbor():
    h = Host(neighbor=False)
    s = h.add(TCPSocket(64, 64))
    s.timeout = 5000
    s.connect(PEER, 80)
    h.advance(6000)
    check_state(s, "CLOSED")
    assert recv(s) in (-110, -113)


def test_3_5_syn_from_a_silent_neighbor_is_given_up():
    h, s = listener()
    h.inject(tcp(1024, 6969, "S", 5, src="192.168.69.130"))
    h.expect("arp", op=1, tpa="192.168.69.130")
    h.advance(600000)
    check_state(s, "LISTEN")


def test_3_5_syn_backoff():
    h, p, s = connecting()
    h.advance(40000)
    times = [p.expect("S", 0).at for _ in range(len(h.device.sent))]
    assert 900 <= times[0] <= 1100, times
    for i in range(1, len(times)):
        ratio = (times[i] - times[i - 1]) * 100 // (times[i - 1] - (times[i - 2] if i > 1 else 0))
        assert 190 <= ratio <= 210, times
    assert len(times) == 5, times


def test_3_5_syn_received_gives_up_and_listens_again():
    h, p, s = syn_received()
    h.advance(3600000)
    check_state(s, "LISTEN")
    q = Peer(h, port=1234)
    h.clear()
    q.send("S", 0)
    q.expect("SA", 0, 1)


def test_3_5_connect_to_nowhere():
    h = Host()
    h.iface.gateway = None
    s = h.add(TCPSocket(64, 64))
    try:
        assert s.connect(FAR, 80) in (0, -101)
    except OSError as e:
        assert e.errno == 101
    h.advance(100)
    h.expect_nothing()


def test_3_5_connect_to_a_broadcast_is_refused():
    # MUST-63 of RFC 1122 4.2.3.10 for active opens.
    h = Host()
    s = h.add(TCPSocket(64, 64))
    for a in ("255.255.255.255", "224.0.0.1", "192.168.69.255", "0.0.0.0"):
        try:
            assert s.connect(a, 80) < 0, a
        except (ValueError, OSError):
            pass
        check_state(s, "CLOSED")
    h.expect_nothing()


def test_3_4_1_first_sequence_numbers_differ():
    h = Host()
    seen = []
    for port in range(8):
        s = h.add(TCPSocket(64, 64))
        s.connect(PEER, 80 + port)
        seen.append(h.expect("tcp", flags="S").seq)
        s.abort()
        h.iface.remove(s)
        h.clear()
    assert len(set(seen)) == 8, seen


def test_3_5_ephemeral_ports_differ_between_open_connections():
    h = Host(sockets=8)
    ports = []
    for _ in range(8):
        s = h.add(TCPSocket(64, 64))
        s.connect(PEER, 80)
        ports.append(s.local_port)
    assert len(set(ports)) == 8 and min(ports) >= 1024, ports


def test_3_5_same_four_numbers_twice():
    h = Host()
    s = h.add(TCPSocket(64, 64))
    s.connect(PEER, 80, 5000)
    t = h.add(TCPSocket(64, 64))
    # The same four numbers twice cannot be.
    try:
        assert t.connect(PEER, 80, 5000) < 0
    except OSError:
        pass
    check_state(t, "CLOSED")
    assert t.connect(PEER, 80, 5001) == 0


def test_3_5_icmp_errors_do_not_end_a_connection():
    # RFC 1122 4.2.3.9: codes 0, 1 and 5 are soft; RFC 5927: others must not reset either.
    for code in (0, 1, 5, 2, 3):
        h, p, s = established()
        s.send(b"abc")
        f = p.expect("A", 1, 1, b"abc").frame
        h.inject(icmp(3, code, data=f[14:42]))
        check_state(s, "ESTABLISHED")
        p.send("A", 1, 4)
        assert s.send_queue == 0


def test_3_5_icmp_error_ends_a_connection_attempt_or_is_ignored():
    for code, errno in ((3, -111), (2, None), (1, -113)):
        h, p, s = connecting()
        h.advance(1200)
        f = p.expect("S", 0).frame
        h.inject(icmp(3, code, data=f[14:42]))
        if s.state == TCPSocket.CLOSED:
            got = recv(s)
            assert got < 0 and got != EAGAIN and (errno is None or got == errno), got
        else:
            p.send("SA", 0, 1)
            check_state(s, "ESTABLISHED")


def test_3_5_icmp_error_with_a_wrong_sequence_number_is_ignored():
    # RFC 5927 4.1: the quoted number must lie in SND.UNA to SND.NXT.
    h, p, s = connecting()
    h.advance(1200)
    f = bytearray(p.expect("S", 0).frame[14:42])
    f[24] ^= 0x55
    h.inject(icmp(3, 3, data=bytes(f)))
    check_state(s, "SYN_SENT")


def test_ttl_of_a_connection():
    h, p, s = connecting(hop_limit=5)
    h.advance(1200)
    p.expect("S", 0, ttl=5)


def test_3_5_the_window_of_the_syn_ack_is_read_exactly():
    for win in (3, 200, 255, 256):
        h, p, s = connecting(nagle=False)
        p.send("SA", 0, 1, mss=536, win=win)
        p.expect("A", 1, 1)
        s.send(bytes(win))
        p.expect("A", 1, 1, bytes(win))
        s.send(b"x")
        h.expect_nothing()


def test_3_7_1_mss_is_found_among_other_options():
    for o in (
        b"\x01\x02\x04\x03\xe8",
        b"\x01\x01\x01\x02\x04\x03\xe8",
        b"\xfd\x04\x00\x64\x02\x04\x03\xe8",
        b"\x02\x04\x03\xe8\xfd\x04\x00\x64",
        b"\xfd\x02\x02\x04\x03\xe8",
        b"\x02\x04\x03\xe8\x00\x02\x04\x00\x64",
    ):
        h, s = listener(tx=3000, nagle=False)
        p = Peer(h)
        p.send("S", 0, options=o)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1)
        s.send(bytes(1500))
        r = p.expect("A", 1, 1)
        assert len(r.data) == 1000, (o, r)


def test_3_5_hard_icmp_error_ends_a_connection_attempt():
    # RFC 1122 4.2.3.9: codes 2 to 4 are hard errors, but 4 has a meaning of its own (RFC 1191).
    h, p, s = connecting()
    h.advance(1200)
    f = p.expect("S", 0).frame[14:42]
    h.inject(icmp(3, 4, b"\x00\x00\x02\x00", data=f))
    check_state(s, "SYN_SENT")
    h.inject(icmp(3, 3, data=f))
    check_state(s, "CLOSED")
    assert recv(s) == -111


def test_3_5_listener_keeps_its_address_after_a_failed_handshake():
    h = Host()
    h.iface.add_address("192.168.69.2/24")
    s, t = h.add(TCPSocket(64, 64)), h.add(TCPSocket(64, 64))
    s.listen(80)
    t.listen(81, OUR)
    h.run()
    h.clear()
    for port, dst, answer in (
        (80, "192.168.69.2", "SA"),
        (80, OUR, "SA"),
        (81, OUR, "SA"),
        (81, "192.168.69.2", "RA"),
        (81, OUR, "SA"),
    ):
        p = Peer(h, port=2000, to=port)
        p.send("S", 0, dst=dst)
        r = h.expect("tcp", flags=answer, src=dst)
        if answer == "SA":
            p.irs = r.seq
            p.send("R", 1, dst=dst)
        h.expect_nothing()
    check_state(s, "LISTEN")
    check_state(t, "LISTEN")


def test_keep_alive_does_nothing_before_the_connection_is_open():
    h, p, s = connecting(keep_alive=100)
    h.advance(900)
    h.expect_nothing()
    check_state(s, "SYN_SENT")
    h.advance(6000)
    while h.device.sent:
        p.expect("S", 0)
    check_state(s, "SYN_SENT")


def test_3_7_1_option_that_ends_beyond_the_header_is_not_read():
    for o in (b"\x01\x02\x04\x04", b"\x01\x01\x02\x04", b"\x02\x06\x01\x00", b"\x02\x01\x01\x00"):
        h, s = listener(tx=3000, nagle=False)
        p = Peer(h)
        p.send("S", 0, options=o)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1)
        s.send(bytes(1000))
        assert len(p.expect("A", 1, 1).data) == 536, o


def test_3_5_text_on_the_syn_ack_of_a_simultaneous_open():
    for flags in ("SA", "SFA"):
        h, p, s = connecting()
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.send(flags, 0, 1, b"abcdef")
        assert s.state >= TCPSocket.ESTABLISHED
        assert recv(s) == b"abcdef"
        h.advance(50)
        p.expect("A", 1, 7 if flags == "SA" else 8)
        assert recv(s) == (EAGAIN if flags == "SA" else 0)


def test_a_syn_that_nobody_follows_up_draws_few_answers():
    # Its sender may be forged: what it costs the host whose address it bears is bounded.
    h, p, s = syn_received()
    h.advance(200000)
    n = 1
    while h.device.sent:
        p.expect("SA", 0, 1)
        n += 1
    assert 2 <= n <= 3, n
    check_state(s, "LISTEN")


def test_a_syn_again_is_answered_however_late():
    h, p, s = syn_received()
    h.advance(100000)
    h.clear()
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1)
    check_state(s, "ESTABLISHED")
