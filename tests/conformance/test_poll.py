"""`poll` and `poll_delay`: what is due when, and that sleeping so long loses nothing."""

from array import array

from harness import *
from smolmpy import UDPSocket
from smolmpy.services.dhcp import DHCPClient


def test_nothing_to_do():
    h = Host()
    assert h.iface.poll_delay(h.now) == -1
    s = h.add(TCPSocket(64, 64))
    assert h.iface.poll_delay(h.now) == -1
    s.listen(80)
    assert h.iface.poll_delay(h.now) == -1


def test_poll_counts_frames():
    h = Host()
    assert h.iface.poll(h.now) == 0
    h.device.queue.append(echo())
    assert h.iface.poll(h.now) == 2
    assert h.iface.poll(h.now) == 0


def test_connect_is_due_at_once():
    h = Host()
    s = h.add(TCPSocket(64, 64))
    s.connect(PEER, 80)
    assert h.iface.poll_delay(h.now) == 0
    h.run()
    assert 0 < h.iface.poll_delay(h.now) <= 1000


def test_send_and_close_are_due_at_once():
    h, p, s = established()
    h.expect_idle()
    s.send(b"x")
    assert h.iface.poll_delay(h.now) == 0
    h.run()
    assert 0 < h.iface.poll_delay(h.now) <= 3000
    p.expect("A")
    p.send("A", 1, 2)
    h.expect_idle()
    s.close()
    assert h.iface.poll_delay(h.now) == 0


def test_abort_is_due_at_once():
    h, p, s = established()
    s.abort()
    assert h.iface.poll_delay(h.now) == 0
    assert "R" in p.expect().flags
    h.expect_idle()


def test_window_update_is_due_at_once():
    h, p, s = established(rx=64, ack_delay=0)
    p.send("A", 1, 1, bytes(64))
    p.expect("A", 1, 65, win=0)
    h.expect_idle()
    recv(s)
    assert h.iface.poll_delay(h.now) == 0
    p.expect("A", 1, 65, win=64)


def test_nothing_is_due_after_the_end():
    h, p, s = established()
    p.send("FA", 1, 1)
    s.close()
    h.advance(20)
    h.clear()
    p.send("A", 2, 2)
    h.expect_idle()


def test_delay_is_the_earliest_timer():
    h, p, s = established(ack_delay=200)
    t = h.add(TCPSocket(64, 64))
    t.connect(PEER, 81)
    h.run()
    d = h.iface.poll_delay(h.now)
    assert 900 <= d <= 1000, d
    p.send("A", 1, 1, b"x")
    d = h.iface.poll_delay(h.now)
    assert 0 < d <= 200, d


def test_delay_shrinks_as_time_passes():
    h, p, s = established()
    s.send(b"x")
    h.run()
    d = h.iface.poll_delay(h.now)
    h.t += 100
    assert h.iface.poll_delay(h.now) == d - 100
    h.t += d - 100
    assert h.iface.poll_delay(h.now) == 0
    h.t += 5000
    assert h.iface.poll_delay(h.now) == 0


def test_waiting_for_a_neighbor():
    h = Host(neighbor=False)
    s = h.add(UDPSocket(64, 64))
    s.send_to(b"x", PEER, 9)
    h.run()
    d = h.iface.poll_delay(h.now)
    assert 0 < d <= 1000, d


def test_polling_too_often_changes_nothing():
    a = run_conversation(1)
    b = run_conversation(0)
    assert a == b, (a, b)


def run_conversation(step):
    """The frames of a short conversation, polled each `step` ms or as poll_delay says."""
    h, p, s = established(tx=64)
    s.send(b"hello")
    for _ in range(4000 if step else 1):
        if step:
            h.iface.poll(h.now)
            h.t += 1
        else:
            h.advance(4000)
    return [(Packet(f).flags, Packet(f).data, at) for at, f in h.device.sent]


def test_every_socket_has_its_turn_in_one_poll():
    h = Host(sockets=40)
    sockets = []
    for i in range(40):
        s = h.add(UDPSocket(16, 16))
        s.bind(1000 + i)
        sockets.append(s)
    for first in range(0, 40, 7):
        for s in sockets[first:]:
            assert s.send_to(b"x", addr(PEER), 9) == 1
        assert h.iface.poll(h.now) == 40 - first
        assert [Packet(f, 0).sport for _, f in h.device.sent] == list(range(1000 + first, 1040))
        assert h.iface.poll_delay(h.now) == -1
        h.clear()


def test_a_full_device_leaves_the_rest_marked():
    h = Host(sockets=40)
    for i in range(40):
        s = h.add(UDPSocket(16, 16))
        s.bind(1000 + i)
        s.send_to(b"x", addr(PEER), 9)
    room = [5]
    put = h.device.transmit

    def transmit(buf, length):
        if not room[0]:
            return EAGAIN
        room[0] -= 1
        return put(buf, length)

    h.device.transmit = transmit
    h.iface.device = h.device
    left = 40
    while left:
        sent = h.iface.poll(h.now)
        assert sent == min(left, 5), (sent, left)
        left -= sent
        room[0] = 5
    assert sorted(Packet(f, 0).sport for _, f in h.device.sent) == list(range(1000, 1040))


class Wrapper:
    """Another device in front of one."""

    def __init__(self, device):
        self.mtu = device.mtu
        self.receive = device.receive
        self.transmit = device.transmit


def test_another_device_changes_nothing_else():
    # An acknowledgment that is due, and frames that are left.
    for swap in (False, True):
        h, p, s = established(rx=8192, syn={"mss": 536})
        for k in range(2):
            h.device.queue.append(p.frame("A", seq=1 + 536 * k, data=bytes(536)))
        h.iface.poll(h.now)
        if swap:
            h.iface.device = Wrapper(h.device)
        assert h.iface.poll_delay(h.now) == 0
        h.iface.poll(h.now)
        p.expect("A", 1, 1073)
        h.device.queue.extend(echo() for _ in range(40))
        h.iface.poll(h.now)
        h.clear()
        if swap:
            h.iface.device = Wrapper(h.device)
        assert h.iface.poll_delay(h.now) == 0
        h.iface.poll(h.now)
        assert len(h.device.sent) == 8


def test_another_device_leaves_a_dhcp_client_its_address():
    # What is offered comes to an address that is not ours yet.
    from test_dhcp import DISCOVER, OFFER, answer, client, heard

    for swap in (False, True):
        h, c = client(broadcast=False, probe=0)
        m = heard(h, DISCOVER)
        if swap:
            h.iface.device = Wrapper(h.device)
        h.inject(answer(m, OFFER))
        assert c.state == DHCPClient.REQUESTING, c.state_name


def test_another_device_is_not_full():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    s.send_to(b"x", PEER, 9)
    h.device.refuse = EAGAIN
    h.iface.poll(h.now)
    assert h.iface.poll_delay(h.now) == 1
    h.device.refuse = 0
    h.iface.device = Wrapper(h.device)
    assert h.iface.poll_delay(h.now) == 0
    h.expect("udp", data=b"x")


def test_what_waits_behind_a_fault_is_due_at_once():
    """A device that fails with EIO may have more: it is asked again, and not when it is gone."""
    for faults in (1, 2, 10):
        h = Host()
        codes = [-5] * faults
        device_receive = h.device.receive

        def receive(buf, codes=codes, inner=device_receive):
            return codes.pop(0) if codes else inner(buf)

        h.device.receive = receive
        h.iface.device = h.device
        h.device.queue.append(echo())
        before = h.counter("rx_device_errors")
        for n in range(faults):
            assert not h.device.sent
            h.iface.poll(h.now)
            assert h.counter("rx_device_errors") == before + n + 1
            assert h.iface.poll_delay(h.now) == 0
        h.iface.poll(h.now)
        assert len(h.device.sent) == 1
        h.clear()
        h.expect_idle()
    for code in (-19, -100):
        h = Host()
        h.device.fail = code
        h.iface.poll(h.now)
        assert h.iface.poll_delay(h.now) == -1


def test_a_device_that_always_fails_is_not_asked_for_ever():
    h = Host()
    h.device.receive = lambda buf: -5
    h.iface.device = h.device
    for _ in range(3):
        polls = 0
        while True:
            h.iface.poll(h.now)
            polls += 1
            if h.iface.poll_delay(h.now) != 0:
                break
            assert polls < 100
        assert polls > 8


def test_faults_now_and_then_are_not_added_up():
    h = Host()
    for _ in range(100):
        h.device.fail = -5
        h.iface.poll(h.now)
        assert h.iface.poll_delay(h.now) == 0
        h.expect_idle()
    # Nor is one between frames.
    h = Host()
    turns = []

    def receive(buf, inner=h.device.receive):
        turns.append(1)
        if len(turns) % 2:
            return inner(buf)
        return -5

    h.device.receive = receive
    h.iface.device = h.device
    for _ in range(60):
        h.device.queue.append(echo())
    for _ in range(60):
        h.iface.poll(h.now)
        assert h.iface.poll_delay(h.now) == 0
    assert len(h.device.sent) == 60


def asked(h):
    """Counts how often the device is asked."""
    calls = []

    def receive(buf, inner=h.device.receive):
        calls.append(h.t)
        return inner(buf)

    h.device.receive = receive
    return calls


def test_a_device_may_want_to_be_asked_now_and_then():
    """`poll_interval`: it is, whatever it says of frames, and nobody sleeps longer."""
    for start in (0, 5, (1 << 30) - 2500, 1 << 29):
        h = Host(start=start)
        calls = asked(h)
        h.device.poll_interval = 700
        h.device.waiting = array("I", (0,))
        h.iface.device = h.device
        h.run()
        assert len(calls) == 1
        for turn in range(10):
            h.device.waiting[0] = 0
            assert h.iface.poll_delay(h.now) == 700
            for _ in range(69):
                h.t += 10
                h.iface.poll(h.now)
            assert h.iface.poll_delay(h.now) == 10 and len(calls) == turn + 1
            h.t += 10
            h.run()
            assert len(calls) == turn + 2
        # Late, after a long sleep.
        h.device.waiting[0] = 0
        h.t += 86400000
        h.run()
        assert len(calls) == 12
        assert h.iface.poll_delay(h.now) == 700


def test_what_a_device_wants_and_other_timers():
    h, p, s = established(ack_delay=100)
    h.device.poll_interval = 700
    h.iface.device = h.device
    h.run()
    assert h.iface.poll_delay(h.now) == 700
    p.send("A", 1, 1, b"x")
    assert 0 < h.iface.poll_delay(h.now) <= 100
    h.advance(100)
    p.expect("A", 1, 2)
    assert 0 < h.iface.poll_delay(h.now) <= 600
    # A wrapper of a device wants what the device wants.
    from smolmpy.phy.tracer import Tracer

    h.iface.device = Tracer(h.device, len)
    calls = asked(h)
    h.advance(7000)
    assert 0 <= h.iface.poll_delay(h.now) <= 700
    del calls
    # Another device, which wants nothing.
    del h.device.poll_interval
    h.iface.device = h.device
    h.expect_idle()


def test_an_acknowledgment_that_a_full_device_refuses_is_not_forgotten():
    h, p, s = established(ack_delay=0)
    h.device.refuse = EAGAIN
    p.send("A", 1, 1, b"text")
    h.device.refuse = 0
    assert h.iface.poll_delay(h.now) == 1
    h.advance(1)
    p.expect("A", 1, 5)
    h.expect_nothing()
