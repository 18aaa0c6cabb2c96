"""The names of an interface's counters, in the order of their words in its state."""

from micropython import const

# Of docs/layout.md: 'make format' writes these.
_COUNTERS = const(32)

# One text, since a board would keep each name as an object of its own.
_NAMES = (
    "rx_frames "  # taken from the device
    "tx_frames "  # taken by the device
    "rx_device_errors "  # receive() failed
    "rx_oversize "  # the device had a frame longer than the buffer
    "tx_device_errors "  # transmit() failed, the frame is lost
    "tx_device_full "  # transmit() had no room, to be tried again
    "eth_runt "
    "eth_not_for_us "
    "eth_source "  # a group address, or our own, as source
    "eth_802_3 "
    "eth_vlan "
    "eth_type "  # no such protocol here
    "arp_rx "
    "arp_malformed "
    "arp_conflict "  # somebody claims our address
    "arp_requests_tx "
    "arp_replies_tx "
    "ip_rx "
    "ip_malformed "  # version, header length or total length
    "ip_checksum "
    "ip_source "  # a source that no packet may have
    "ip_not_for_us "
    "ip_fragment "
    "ip_options "  # processed, options skipped
    "ip_source_route "
    "ip_protocol "  # no such protocol here
    "ip_no_route "
    "ip_no_neighbor "  # next hop does not answer ARP
    "icmp_rx "
    "icmp_malformed "
    "icmp_checksum "
    "icmp_echo "
    "icmp_group "  # an echo request to a group address
    "icmp_ignored "  # a type without meaning here, or an error about nothing of ours
    "icmp_errors_rx "
    "icmp_errors_tx "
    "icmp_errors_limited "
    "udp_rx "
    "udp_tx "
    "udp_malformed "
    "udp_checksum "
    "udp_no_socket "
    "udp_full "
    "tcp_rx "
    "tcp_tx "
    "tcp_malformed "
    "tcp_checksum "
    "tcp_no_socket "
    "tcp_rst_tx "
    "tcp_retransmits "
    "raw_rx "
    "raw_full "
    "tcp_challenge_acks "
    "tcp_out_of_order "
    "tcp_cookies "  # SYN cookies sent
    "tcp_syn_dropped "  # no listener, and a connection on that port is quiet
)


def names():
    """Their names, in order."""
    return _NAMES.split()


def read(st):
    """A dict of every counter."""
    return {name: st[_COUNTERS + i] for i, name in enumerate(names())}


def index(name):
    """The word of a counter in the state; raises KeyError."""
    for i, known in enumerate(names()):
        if known == name:
            return _COUNTERS + i
    raise KeyError(name)
