"""Devices: tap, AF_PACKET, framed stream, loopback, and the wrappers fault injector and tracer.

The protocol that a device follows is in docs/architecture.md. Each is imported by itself
(`from smolmpy.phy.tap import TapDevice`), so that a program loads the one it uses.
"""


def adopt(wrapper, device):
    """Gives a wrapper the optional members of the device that it wraps, as they are now."""
    for name in ("link", "close", "fileno", "loopback", "mac"):
        if hasattr(device, name):
            setattr(wrapper, name, getattr(device, name))
