"""The module `network` on this stack: the interface as an object that programs know.

lan = LAN(board.device(), ticks_ms=board.ticks_ms, wait=board.wait)
lan.active(True)
lan.ifconfig("dhcp")
install()                  # import socket, import network: now these
"""

import sys

from micropython import const

from smolmpy import net
from smolmpy.iface.interface import Interface
from smolmpy.wire.address import format, from_word, local_mac, parse, parse_cidr, parse_mac

_lan = None
_country = "XX"

# Of docs/layout.md: 'make format' writes these.
_EBUSY = const(16)

_ENODEV = const(19)
_ENETDOWN = const(100)


def __getattr__(name):
    # What programs for wireless boards look for costs nothing until one does.
    if name in ("WLAN", "STA_IF", "AP_IF") or name.startswith("STAT_"):
        __import__("smolmpy.compat.wlan")
        return getattr(sys.modules["smolmpy.compat.wlan"], name)
    raise AttributeError(name)


class LAN:
    """A wired interface: `LAN(device)`; `LAN()` or `LAN(0)` is the one that has been made.

    mac: 6 bytes or text; by default the device's own, or one made of the board's unique id.
    ticks_ms, wait: the board's clock and sleep. sockets: how many the interface has room for
    besides those of the pool (services take one each). interface: more arguments of Interface, as
    a dict; the others are for smolmpy.socket.setup(), which makes the pool.
    """

    def __new__(cls, device=None, **options):
        if isinstance(device, int) and device != 0:
            raise ValueError("device: there is one LAN only, LAN(0)")
        if device is None or isinstance(device, int):
            if _lan is None:
                raise OSError(
                    _ENODEV, "no LAN has been made of a device: LAN(board.device(), ...)"
                )
            return _lan
        return super().__new__(cls)

    def __init__(
        self, device=None, *, mac=None, ticks_ms=None, wait=None, sockets=4, interface=None, **pool
    ):
        global _lan
        if device is None or isinstance(device, int):
            return
        net.check_clock(ticks_ms, wait)
        self._device = device
        self._options = dict(interface or {})
        self._options["sockets"] = sockets + pool.get("tcp", 4) + pool.get("udp", 2)
        self._setup = (ticks_ms, wait)
        self._pool = pool
        self._dhcp = None
        self._made = False  # active(True) has been called: the address is fixed
        self._iface = Interface(device, mac or _own_mac(device), **self._options)
        _lan = self

    @property
    def iface(self):
        """The smolmpy.Interface."""
        return self._iface

    def active(self, value=None):
        """Whether the interface works, whatever the cable does; or makes it work, or rest."""
        if value is None:
            return self._made and net.up
        if not value:
            net.up = False
        elif not self._made:
            from smolmpy.compat import socket

            socket.setup(self._iface, *self._setup, **self._pool)
            self._made = True
        else:
            net.up = True

    def _link(self):
        link = getattr(self._device, "link", None)
        return link is None or bool(link())

    def isconnected(self):
        """Whether the link is up and there is an address."""
        return self.status() == 3

    def status(self, param=None):
        """0 no link, 1 a link but not active, 2 active without an address, 3 ready."""
        if param is not None:
            raise ValueError("unknown status param")
        self._work()
        if not self._link():
            return 0
        if not self.active():
            return 1
        return 3 if self._iface.addresses() else 2

    def _work(self):
        # Somebody who waits in a loop for the state to change has to let it.
        if self.active():
            net.pump()

    def ifconfig(self, config=None):
        """(address, mask, gateway, name server); "dhcp" waits for them, 10 s at most."""
        if config is None:
            self._work()
            return self.ipconfig("addr4") + (self.ipconfig("gw4"), ipconfig("dns"))
        if config == "dhcp":
            if not self.active():
                raise OSError(_ENETDOWN, 'ifconfig("dhcp"): call active(True) first')
            self.ipconfig(dhcp4=True)
            start = net.ticks_ms()
            while not self._dhcp.bound:
                left = 10000 - net.elapsed(start)
                if left <= 0:
                    raise OSError("timeout waiting for DHCP to get IP address")
                net.rest(left)
                net.pump()
            return None
        if not isinstance(config, (tuple, list)) or len(config) != 4:
            raise ValueError(
                'config must be (address, mask, gateway, dns) or "dhcp", not %r' % (config,)
            )
        addr, mask, gateway, server = config
        servers = _servers(server)
        self.ipconfig(dhcp4=False, addr4=(addr, mask), gw4=gateway)
        net.dns = servers

    def ipconfig(self, param=None, **values):
        """One of addr4, gw4, dhcp4, has_dhcp4; or sets those that are named.

        addr4 is a pair (address, mask), or text such as "192.168.69.1/24" to set it. dhcp4=True
        does not wait: ask for has_dhcp4.
        """
        if not values:
            return self._ipconfig(param)
        if param is not None:
            raise TypeError("can't specify pos and kw args")
        for name in values:
            if name not in ("addr4", "gw4", "dhcp4"):
                raise ValueError("unexpected key")
        if "addr4" in values:
            values["addr4"] = self._cidr(values["addr4"])
        before = self._dhcp is not None, self._iface.addresses(), self._iface.gateway
        try:
            self._set(values)
        except ValueError:
            # What does not fit together changes nothing.
            dhcp, addresses, gateway = before
            stopped = dhcp and self._dhcp is None
            self._set_addr4(addresses[0] if addresses and not stopped else None)
            self._set_gw4(None if stopped else gateway)
            self._set_dhcp4(dhcp)
            raise
        self._work()

    def _set(self, values):
        # DHCP would undo what is set before it is stopped.
        for name in ("dhcp4", "addr4", "gw4"):
            if name in values:
                getattr(self, "_set_" + name)(values[name])

    def _ipconfig(self, param):
        self._work()
        addresses = self._iface.addresses()
        if param == "addr4":
            if not addresses:
                return ("0.0.0.0", "0.0.0.0")
            addr, _, prefix = addresses[0].partition("/")
            return (addr, format(from_word(0xFFFFFFFF << (32 - int(prefix)) & 0xFFFFFFFF)))
        if param == "gw4":
            return self._iface.gateway or "0.0.0.0"
        if param == "dhcp4":
            return self._dhcp is not None
        if param == "has_dhcp4":
            return self._dhcp is not None and bool(self._dhcp.bound)
        if param is None:
            raise TypeError("must query one param")
        raise ValueError("unexpected key")

    def _cidr(self, value):
        # What addr4 is set to, as text with a prefix length; None for no address.
        if value is None:
            return None
        if isinstance(value, str):
            addr, _, prefix = value.partition("/")
            prefix = prefix or _prefix(self._ipconfig("addr4")[1]) or 24
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            addr = value[0]
            prefix = _prefix(value[1])
        else:
            raise ValueError(
                'addr4 must be "192.168.69.1/24" or a pair (address, mask), not %r' % (value,)
            )
        cidr = "%s/%s" % (format(parse(addr, "addr4")), prefix)
        parse_cidr(cidr, "addr4")
        return None if cidr.startswith("0.0.0.0/") else cidr

    def _set_addr4(self, cidr):
        iface = self._iface
        if cidr in iface.addresses():
            return
        for old in iface.addresses():
            iface.remove_address(old.partition("/")[0])
        if cidr is not None:
            iface.add_address(cidr)

    def _set_gw4(self, value):
        self._iface.gateway = None
        if value and value != "0.0.0.0":
            self._iface.gateway = value

    def _set_dhcp4(self, value):
        if value and self._dhcp is None:
            from smolmpy.services.dhcp import DHCPClient

            # The address is checked for conflicts four times as fast as RFC 5227 has it: within
            # the 10 s of ifconfig("dhcp") there has to be time for a message that is lost.
            self._dhcp = DHCPClient(
                self._iface, net.hostname, probe=250, on_change=self._configured
            )
        elif not value and self._dhcp is not None:
            self._dhcp.release()
            self._iface.remove(self._dhcp)
            self._dhcp = None

    def _configured(self, client):
        if client.bound and client.dns:
            net.dns = client.dns

    def config(self, *param, **values):
        """One of "mac", "mtu", "hostname"; mac=... before active(True), hostname=..."""
        if len(param) + bool(values) != 1:
            raise TypeError("one param, or some to set")
        for name in values:
            self._configure(name, values[name])
        if values:
            return None
        if param[0] == "mac":
            return self._iface.mac
        if param[0] == "mtu":
            return self._iface.mtu
        if param[0] == "hostname":
            return net.hostname
        raise ValueError("unknown config param")

    def _configure(self, name, value):
        if name == "mac":
            if self._made:
                raise OSError(_EBUSY, "mac: to be set before active(True)")
            old = self._iface
            self._iface = Interface(self._device, parse_mac(value), **self._options)
            for cidr in old.addresses():
                self._iface.add_address(cidr)
            self._iface.gateway = old.gateway
        elif name == "hostname":
            hostname(value)
        else:
            raise ValueError("unknown config param")

    def send_ethernet(self, frame):
        """Sends an Ethernet frame as it is, without its FCS. OSError if the device does not."""
        buf = bytearray(60)
        if len(frame) >= 60:
            buf = frame
        else:
            buf[: len(frame)] = frame
        r = self._device.transmit(buf, len(buf))
        if r < 0:
            raise OSError(-r)


def _prefix(mask):
    word = 0
    for octet in parse(mask, "mask"):
        word = word << 8 | octet
    bits = 0
    while word & 0x80000000:
        word = word << 1 & 0xFFFFFFFF
        bits += 1
    if word:
        raise ValueError("mask: %s is none" % mask)
    return bits


def _own_mac(device):
    mac = getattr(device, "mac", None)
    if mac and any(mac):
        return mac
    try:
        from machine import unique_id
    except ImportError:
        raise ValueError(
            "mac: the device has none of its own, and the firmware no unique id to make one of; "
            "give LAN(device, mac=...)"
        )
    return local_mac(unique_id())


def hostname(name=None):
    """The name that DHCP and mDNS tell others."""
    if name is None:
        return net.hostname
    if not 0 < len(name) <= 32:
        raise ValueError("hostname: 1 to 32 characters")
    net.hostname = name


def country(code=None):
    """The country for radio regulations: kept, and of no use on a wire."""
    global _country
    if code is None:
        return _country
    if len(code) != 2:
        raise ValueError("country: two letters")
    _country = code.upper()


def ipconfig(param=None, **values):
    """The name server: ipconfig("dns"), ipconfig(dns="192.168.69.100")."""
    if not values:
        if param == "dns":
            return net.dns[0] if net.dns else "0.0.0.0"
        if param is None:
            raise TypeError("must query one param")
        raise ValueError("unexpected key")
    if param is not None:
        raise TypeError("can't specify pos and kw args")
    for name in values:
        if name != "dns":
            raise ValueError("unexpected key")
    net.dns = _servers(values["dns"])


def _servers(dns):
    if dns is None or dns == "0.0.0.0":
        return []
    return [format(parse(dns, "dns"))]


def install():
    """From now on `import socket` and `import network` give smolmpy's."""
    from smolmpy.compat import socket

    for name, module in (("socket", socket), ("network", sys.modules[__name__])):
        sys.modules[name] = module
        sys.modules["u" + name] = module
