"""The unix port as a board: its device is what SMOLMPY_DEVICE names.

tap:NAME      a tap (an interpreter with ffi)
packet:NAME   any network device, through a packet socket
fd:N          an inherited stream socket with a frame after each 4-byte length
loopback      no device at all: what is sent is received
"""

import os
import select
import time

ticks_ms = time.ticks_ms

_poller = select.poll()
_watched = None
_fd = -1


def device():
    """Opens the device. Raises ValueError where SMOLMPY_DEVICE does not name one."""
    spec = os.getenv("SMOLMPY_DEVICE") or "tap:tap0"
    kind, _, name = spec.partition(":")
    if kind == "tap" and name:
        from smolmpy.phy.tap import TapDevice

        return TapDevice(name)
    if kind == "packet" and name:
        from smolmpy.phy.packet import PacketDevice

        # The interface has an Ethernet address of its own, which is not that of the device.
        return PacketDevice(name, promiscuous=True)
    if kind == "fd" and name.isdigit():
        from smolmpy.phy.stream import StreamDevice

        return StreamDevice(int(name))
    if kind == "loopback":
        from smolmpy.phy.loopback import LoopbackDevice

        return LoopbackDevice()
    raise ValueError("SMOLMPY_DEVICE=%s: tap:NAME, packet:NAME, fd:N or loopback expected" % spec)


def wait(device, ms):
    """Sleeps until a frame may be waiting or `ms` have passed (-1: no limit).

    The first call with a device allocates; later ones do not.
    """
    if device is not _watched:
        _watch(device)
    if _fd >= 0:
        _poller.ipoll(ms)
    elif ms >= 0:
        time.sleep_ms(ms)
    else:
        # Nothing to wake up for; leave the processor to others, and let Ctrl-C through.
        time.sleep_ms(100)


def _watch(device):
    global _watched, _fd
    if _fd >= 0:
        _poller.unregister(_fd)
    _watched = device
    _fd = device.fileno() if hasattr(device, "fileno") else -1
    if _fd >= 0:
        _poller.register(_fd, select.POLLIN)
        _poller.ipoll(0)
