"""A connection brought into each of the states of RFC 9293 section 3.3.2.

`p.seq` and `p.ack` are then the next sequence numbers of the peer and of the stack; where the
stack has something unacknowledged, `p.una` is smaller than `p.ack`.
"""

from harness import *

SYNCHRONIZED = (
    "ESTABLISHED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "CLOSE_WAIT",
    "CLOSING",
    "LAST_ACK",
    "TIME_WAIT",
)
# States in which the peer may still send text.
RECEIVING = ("ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2")


def in_state(name, iss=ISS, **opts):
    """A host, a peer and a socket in state `name`."""
    if name == "LISTEN":
        h, s = listener(**opts)
        p = Peer(h, iss=iss)
    elif name == "SYN_SENT":
        h, p, s = connecting(iss=iss, **opts)
        p.una = 0
    elif name == "SYN_RECEIVED":
        h, p, s = syn_received(iss=iss, **opts)
        p.una = 0
    else:
        h, p, s = established(iss=iss, **opts)
        p.una = 1
        if name in ("FIN_WAIT_1", "FIN_WAIT_2", "CLOSING", "TIME_WAIT"):
            s.close()
            p.expect("FA", 1, 1, b"")
            p.ack = 2
        if name in ("FIN_WAIT_2", "TIME_WAIT"):
            p.send("A", 1, 2)
            p.una = 2
        if name in ("CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"):
            p.send("FA", 1)
            h.advance(s.ack_delay)
            p.expect("A", p.ack, 2)
            p.seq = 2
        if name == "CLOSING":
            p.send("FA", 1, 1)
            h.advance(s.ack_delay)
            p.expect("A", 2, 2)
            p.seq = 2
        if name == "LAST_ACK":
            s.close()
            p.expect("FA", 1, 2)
            p.ack = 2
    h.expect_nothing()
    assert s.state == getattr(TCPSocket, name), (s.state_name, name)
    return h, p, s


def check_state(s, name):
    assert s.state == getattr(TCPSocket, name), "state %s, not %s" % (s.state_name, name)


# Features that have scenarios and no implementation: an entry goes when the feature comes.
NOT_YET = ()


def lacks(*names):
    """A reason to skip where the stack has not got these features or a socket these options."""
    for name in names:
        if name in NOT_YET:
            return "SKIP no " + name
        if name.islower() and " " not in name and not hasattr(TCPSocket(64, 64), name):
            return "SKIP no option " + name
