"""smolmpy: a TCP/IP stack for microcontrollers, in MicroPython.

Names are loaded when they are first used, so what a program does not use costs nothing.
"""

import gc
import sys

__version__ = "0.1.0"

# Where each name is, and before it what it imports: leaves first, because an import within an
# import within an import needs more C stack than a small board has.
_PACKET = "iface.interface sockets.buffers sockets.base sockets.ring sockets.packet "
_UDP = _PACKET + "sockets.udp_input "
_SERVICE = _UDP + "services.service "
_MODULES = (
    "Interface errno kernel wire.address core.state core.schedule core.demux core.secret "
    "link.ethernet link.neighbor link.arp ip.route ip.ipv4 ip.icmpv4 iface.egress iface.ingress "
    "iface.poll iface.interface",
    "TCPSocket iface.interface sockets.buffers sockets.base tcp.ranges tcp.options "
    "tcp.congestion tcp.connection tcp.cookie tcp.recovery tcp.input tcp.output tcp.settings "
    "tcp.socket",
    "UDPSocket " + _UDP + "sockets.udp_output sockets.udp",
    "ICMPSocket " + _PACKET + "sockets.icmp",
    "RawSocket " + _PACKET + "sockets.raw",
    "DNSClient " + _SERVICE + "services.dns_message services.dns_cache services.dns",
    "MDNS "
    + _SERVICE
    + "services.dns_message services.dns_cache ip.igmp services.mdns_message services.mdns",
    "SNTPClient " + _SERVICE + "services.sntp",
    "DHCPClient " + _SERVICE + "services.config services.dhcp_message services.dhcp",
)

# What `from smolmpy import` gives besides.
_SUBMODULES = "net compat.socket compat.network compat.aio compat.pool compat.stream compat.wlan"


# These need 60 KB to be compiled, and leave many names. Each has a twin, which is taken where the
# import fails: that is better than none, on a board that compiles and has the heap of an RP2040.
_ASSEMBLY = ("tcp.prediction_thumb", "sockets.datagram_thumb")
_SMALL = 256 * 1024


def _spare():
    try:
        if not __file__.endswith(".py") or gc.mem_alloc() + gc.mem_free() > _SMALL:
            return
        open(__file__).close()
    except (NameError, AttributeError, OSError):
        return  # CPython; or frozen, so that there is no such file
    for module in _ASSEMBLY:
        sys.modules["smolmpy." + module] = None


_spare()


def __getattr__(name):
    for module in _SUBMODULES.split():
        if module.rsplit(".", 1)[-1] == name:
            found = "smolmpy." + module
            __import__(found)
            return sys.modules[found]
    for line in _MODULES:
        modules = line.split()
        if modules.pop(0) == name:
            break
    else:
        raise AttributeError(name)
    if name != "Interface" and "Interface" not in globals():
        __getattr__("Interface")
    for module in modules:
        gc.collect()  # what the compiler left over would lie between this one and the next
        try:
            found = __import__("smolmpy." + module, None, None, (name,))
        except MemoryError:
            gc.collect()
            if not __file__.endswith(".py"):
                raise
            raise MemoryError("to be compiled here smolmpy wants a heap of 256 KB: use .mpy files")
    found = getattr(found, name)
    globals()[name] = found
    return found
