"""smolmpy: a TCP/IP stack for microcontrollers, in MicroPython.

Names are loaded when they are first used, so what a program does not use costs nothing.
"""

__version__ = "0.1.0"

_MODULES = {
    "Interface": "iface.interface",
    "TCPSocket": "sockets.tcp",
    "UDPSocket": "sockets.udp",
    "ICMPSocket": "sockets.icmp",
    "RawSocket": "sockets.raw",
}


def __getattr__(name):
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(name)
    found = getattr(__import__("smolmpy." + module, None, None, (name,)), name)
    globals()[name] = found
    return found
