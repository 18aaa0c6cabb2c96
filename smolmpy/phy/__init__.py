"""Devices: tap, AF_PACKET, framed stream, loopback, and the wrappers fault injector and tracer.

The protocol that a device follows is in docs/architecture.md. Each is imported by itself
(`from smolmpy.phy.tap import TapDevice`), so that a program loads the one it uses.
"""


def adopt(wrapper, device):
    """Gives a wrapper the optional members of the device that it wraps, as they are now."""
    for name in ("link", "close", "fileno", "loopback", "mac", "set_mac", "poll_interval"):
        if hasattr(device, name):
            setattr(wrapper, name, getattr(device, name))


def check_mac(mac):
    """The bytes of a chip's address, None for none. Raises ValueError for what is no address."""
    if mac is None:
        return None
    if isinstance(mac, str) or len(mac) != 6 or mac[0] & 1 or not any(mac):
        raise ValueError(
            "mac: 6 bytes of a unicast address such as b'\\x02\\0\\0\\0\\0\\x01', not %r;"
            " smolmpy.wire.address.parse_mac() makes them of text" % (mac,)
        )
    return bytes(mac)
