"""The module `network`: the LAN, the WLAN that programs for wireless boards find, and misuse."""

from harness import *
from harness import Host, raises
from smolmpy import net, network, socket

ADDRESS = "192.168.69.1"
MASK = "255.255.255.0"
MAC = "02-00-00-00-00-01"


def errno(f, *args):
    try:
        f(*args)
    except OSError as e:
        return e.args[0]  # CPython has no e.errno for an OSError of a number alone
    return 0


def wired(active=True, address=False, **options):
    """(host, LAN): sleeping, and asking the clock, let the host's time pass."""
    h = Host(address=False)
    net.dns = []

    def ticks():
        h.t += 1
        return h.now

    def wait(device, ms):
        h.t += 1 if ms < 0 or ms > 100 else ms

    options.setdefault("mac", MAC)
    lan = network.LAN(h.device, ticks_ms=ticks, wait=wait, **options)
    if active:
        lan.active(True)
    if address:
        lan.ifconfig((ADDRESS, MASK, "192.168.69.100", "192.168.69.53"))
        h.iface = lan.iface
        h.iface.add_neighbor(PEER, PEER_MAC)
    return h, lan


def test_ipconfig():
    h = Host(address=False)
    lan = network.LAN(h.device, mac="02-00-00-00-00-01", ticks_ms=lambda: h.now, wait=len)
    assert network.LAN() is lan
    assert not lan.active() and not lan.isconnected() and lan.status() == 1
    lan.active(True)
    assert lan.active() and lan.status() == 2
    assert lan.ifconfig() == ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
    lan.ifconfig((ADDRESS, "255.255.255.0", "192.168.69.100", "192.168.69.53"))
    assert lan.ifconfig() == (ADDRESS, "255.255.255.0", "192.168.69.100", "192.168.69.53")
    assert lan.isconnected() and lan.status() == 3
    lan.ipconfig(addr4="10.0.0.7/8", gw4="10.0.0.1")
    assert lan.ipconfig("addr4") == ("10.0.0.7", "255.0.0.0")
    assert lan.ipconfig("gw4") == "10.0.0.1"
    assert lan.ipconfig("dhcp4") is False and lan.ipconfig("has_dhcp4") is False
    assert lan.iface.addresses() == ["10.0.0.7/8"]
    network.ipconfig(dns="10.0.0.53")
    assert network.ipconfig("dns") == "10.0.0.53"
    raises(ValueError, "unexpected key", lan.ipconfig, "addr5")
    raises(TypeError, "", lan.ipconfig, "addr4", gw4="10.0.0.1")
    raises(ValueError, "mask", lan.ifconfig, (ADDRESS, "255.0.255.0", ADDRESS, ADDRESS))
    raises(ValueError, "unknown status param", lan.status, "rssi")
    lan.active(False)
    assert not lan.active() and lan.status() == 1
    assert errno(socket.socket().connect, ("10.0.0.1", 80)) == 113
    net.dns = []


def test_config():
    h = Host(address=False)
    lan = network.LAN(h.device, mac=b"\x02\0\0\0\0\1", ticks_ms=lambda: h.now, wait=len)
    assert lan.config("mac") == b"\x02\0\0\0\0\1"
    lan.config(mac=b"\x02\0\0\0\0\2")
    assert lan.config("mac") == b"\x02\0\0\0\0\2"
    raises(ValueError, "mac", lan.config, mac=b"\x02\0\0")
    raises(ValueError, "unknown config param", lan.config, "essid")
    raises(ValueError, "unknown config param", lan.config, essid="x")
    raises(TypeError, "", lan.config, "mac", mac=b"")
    network.hostname("board")
    assert network.hostname() == lan.config("hostname") == "board"
    raises(ValueError, "hostname", network.hostname, "x" * 33)
    network.hostname("smolmpy")
    lan.active(True)
    assert errno(lambda: lan.config(mac=b"\x02\0\0\0\0\3")) == 16
    h.device.sent.clear()
    lan.send_ethernet(b"\xff" * 14)
    assert h.device.sent[0][1] == b"\xff" * 14 + bytes(46)


def test_the_lan_by_number():
    """As webrepl looks for it: LAN(0), LAN(1) is none."""
    h, lan = wired()
    assert network.LAN(0) is lan and network.LAN(0).active()
    raises(ValueError, "LAN", network.LAN, 1)


def test_misuse_of_the_lan():
    h, lan = wired(active=False)
    assert not lan.active()
    e = raises(OSError, "active(True)", lan.ifconfig, "dhcp")
    assert e.args[0] == 100
    network.socket = None
    was = socket._pool
    socket._pool = None
    try:
        e = raises(OSError, "active(True)", socket.socket)
        assert e.args[0] == 19
    finally:
        socket._pool = was
    for config in ("DHCP", "auto", ADDRESS, 5, (ADDRESS, MASK, ADDRESS), (), {1, 2, 3, 4}):
        raises(ValueError, "config", lan.ifconfig, config)
    # What may be done before active(True) may be done.
    lan.ifconfig((ADDRESS, MASK, "192.168.69.100", "192.168.69.53"))
    lan.active(True)
    good = ADDRESS, MASK, "192.168.69.100", "192.168.69.53"
    assert lan.ifconfig() == good
    # What is wrong is named, and changes nothing.
    for config, name in (
        (("192.168.69.9", MASK, "10.0.0.1", "1.1.1.1"), "gateway"),
        (("192.168.69.9", MASK, "192.168.69.255", "1.1.1.1"), "gateway"),
        (("192.168.69.9", MASK, "192.168.69.9", "1.1.1.1"), "gateway"),
        (("192.168.69.9", MASK, "192.168.69.100", "dns"), "dns"),
        (("192.168.69.9", "255.0.255.0", "192.168.69.100", "1.1.1.1"), "mask"),
        (("192.168.69", MASK, "192.168.69.100", "1.1.1.1"), "addr4"),
        (("192.168.69.255", MASK, "192.168.69.100", "1.1.1.1"), "192.168.69.255"),
        ((5, MASK, "192.168.69.100", "1.1.1.1"), "addr4"),
    ):
        raises(ValueError, name, lan.ifconfig, config)
        assert lan.ifconfig() == good, config
    for addr4 in (5, "192.168.69.1/33", "x", ("192.168.69.1",), ("192.168.69.1", 24)):
        raises(ValueError, "mask" if isinstance(addr4, tuple) and len(addr4) == 2 else "addr4",
               lan.ipconfig, addr4=addr4)  # fmt: skip
        assert lan.ifconfig() == good
    lan.ifconfig(("192.168.69.9", MASK, "0.0.0.0", "0.0.0.0"))
    assert lan.ifconfig() == ("192.168.69.9", MASK, "0.0.0.0", "0.0.0.0")
    e = raises(OSError, "name server", socket.getaddrinfo, "name.test", 80)
    assert e.args[0] == -2


def test_dhcp_survives_what_is_wrong():
    h, lan = wired()
    lan.ipconfig(dhcp4=True)
    for gateway in ("10.0.0.1", "x"):
        raises(ValueError, "gateway", lan.ifconfig, (ADDRESS, MASK, gateway, "0.0.0.0"))
        assert lan.ipconfig("dhcp4") and lan.iface.addresses() == []
    # Nor does an address and a gateway that are there already.
    lan.ifconfig((ADDRESS, MASK, "192.168.69.100", "0.0.0.0"))
    raises(ValueError, "gateway", lan.ipconfig, gw4="10.0.0.1")
    assert lan.iface.addresses() == [ADDRESS + "/24"]
    assert lan.ipconfig("gw4") == "192.168.69.100" and not lan.ipconfig("dhcp4")


def test_what_has_no_address_says_so():
    h, lan = wired()
    assert lan.status() == 2
    s = socket.socket()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for call in (s.connect, u.connect, lambda where: u.sendto(b"x", where)):
        e = raises(OSError, "address", call, ("192.168.69.100", 80))
        assert e.args[0] == 113
    lan.active(False)
    for call in (s.connect, u.connect, lambda where: u.sendto(b"x", where)):
        e = raises(OSError, "active(True)", call, ("192.168.69.100", 80))
        assert e.args[0] == 113
    lan.active(True)
    lan.ifconfig((ADDRESS, MASK, "0.0.0.0", "0.0.0.0"))
    for call in (s.connect, u.connect, lambda where: u.sendto(b"x", where)):
        e = raises(OSError, "no route to 10.1.1.1", call, ("10.1.1.1", 80))
        assert e.args[0] == 113


def test_the_clock_is_checked_when_the_lan_is_made():
    h = Host(address=False)
    raises(TypeError, "ticks_ms", network.LAN, h.device, mac=MAC, ticks_ms=5, wait=len)
    raises(TypeError, "wait", network.LAN, h.device, mac=MAC, ticks_ms=len, wait=5)
    had = net.time
    net.time = None  # as on a board without the module
    try:
        raises(ValueError, "board.ticks_ms", network.LAN, h.device, mac=MAC)
        raises(ValueError, "wait", network.LAN, h.device, mac=MAC, ticks_ms=len)
        raises(ValueError, "ticks_ms", net.setup, h.iface)
    finally:
        net.time = had


def test_an_address_for_the_device():
    class Device:
        mtu = 1500
        mac = None

        def receive(self, buf):
            return 0

        def transmit(self, buf, length):
            return 0

    def own(burnt, **options):
        device = Device()
        device.mac = burnt
        return network.LAN(device, ticks_ms=len, wait=len, **options).config("mac")

    assert own(b"\2\0\0\0\0\7") == b"\2\0\0\0\0\7"
    assert own(b"\2\0\0\0\0\7", mac="02-00-00-00-00-08") == b"\2\0\0\0\0\x08"
    raises(ValueError, "mac", own, b"\3\0\0\0\0\7")
    # One that has none, or that of a chip that was never told one.
    import sys

    class Machine:
        @staticmethod
        def unique_id():
            return b"\1\2\3\4\5\6\7\x08"

    had = sys.modules.get("machine")
    try:
        sys.modules["machine"] = Machine
        made = own(None)
        assert made[0] == 2 and any(made[1:]) and own(bytes(6)) == made
        sys.modules["machine"] = type("", (), {})
        e = raises(ValueError, "mac", own, None)
        assert "LAN(device, mac=" in str(e)
    finally:
        if had is None:
            del sys.modules["machine"]
        else:
            sys.modules["machine"] = had


def test_misuse_of_the_interface():
    h = Host(address=False, neighbor=False)
    device = h.device

    class NoMTU:
        def receive(self, buf):
            return 0

        transmit = receive

    for bad in (None, 5, "tap0", (1, 2), NoMTU(), type(device), Interface):
        e = raises(TypeError, "device", Interface, bad, MAC)
        assert "receive()" in str(e)
    iface = Interface(device, MAC)

    def replace():
        iface.device = None

    raises(TypeError, "device", replace)
    assert iface.device is device
    for bad in (None, 5, "", "02-00", b"\1\0\0\0\0\1", bytes(6), bytes(5)):
        raises(ValueError, "mac", Interface, device, bad)
    for name in ("sockets", "neighbors", "routes", "addresses"):
        for bad in (0, -1, 5000, "4", None, 1.5):
            raises(ValueError, name, Interface, device, MAC, **{name: bad})


def test_addresses_that_no_host_has():
    h = Host(address=False, neighbor=False)
    for cidr in ("192.168.1.255/24", "192.168.1.0/24", "10.255.255.255/8", "192.168.1.3/30",
                 "192.168.1.4/30", "255.255.255.255/32", "224.0.0.1/24", "0.0.0.0/0", "0.1.2.3/8",
                 "240.0.0.1/8"):  # fmt: skip
        e = raises(ValueError, "cidr", h.iface.add_address, cidr)
        assert cidr in str(e)
    assert h.iface.addresses() == []
    # Networks of two and of one have no such addresses (RFC 3021).
    for cidr in ("192.168.1.254/31", "192.168.1.255/32", "192.168.2.0/31", "127.0.0.1/8"):
        h.iface.add_address(cidr)


def test_gateways_that_can_not_be_one():
    h = Host(address=False, neighbor=False)
    iface = h.iface

    def default(gateway):
        iface.gateway = gateway

    def route(gateway):
        iface.add_route("172.16.0.0/12", gateway)

    # No address yet: it can be any host, but only a host.
    for call in (default, route):
        for bad in ("224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0", "x", 5, None)[
            : 6 if call is default else 7
        ]:
            raises(ValueError, "gateway", call, bad)
        call("192.168.69.100")
    iface.gateway = None
    iface.remove_route("172.16.0.0/12")
    iface.add_address("192.168.69.1/24")
    iface.add_address("10.0.0.1/31")
    for call in (default, route):
        for bad in ("192.168.70.1", "192.168.69.255", "192.168.69.0", "192.168.69.1", "10.0.0.1",
                    "10.0.0.2"):  # fmt: skip
            e = raises(ValueError, "gateway", call, bad)
            assert bad in str(e)
    assert iface.routes() == []
    for good in ("192.168.69.254", "10.0.0.0"):
        default(good)
        assert iface.gateway == good


def test_wlan_is_the_lan():
    h, lan = wired(active=False)
    wlan = network.WLAN(network.STA_IF)
    assert network.WLAN() is wlan and network.WLAN(0) is wlan
    assert not wlan.active() and not wlan.isconnected()
    assert wlan.status() == network.STAT_IDLE
    e = raises(OSError, "active(True)", wlan.connect, "ssid", "key")
    assert e.args[0] == 100
    wlan.active(True)
    assert wlan.active() and lan.active()
    assert wlan.status() == network.STAT_IDLE  # nobody has asked for an address
    wlan.config(pm=0xA11140)
    wlan.connect("ssid", "key")
    assert lan.ipconfig("dhcp4") and wlan.status() == network.STAT_CONNECTING
    assert wlan.config("ssid") == wlan.config("essid") == "ssid"
    lan.ifconfig((ADDRESS, MASK, "192.168.69.100", "192.168.69.53"))
    assert wlan.isconnected() and wlan.status() == network.STAT_GOT_IP
    assert wlan.ifconfig() == (ADDRESS, MASK, "192.168.69.100", "192.168.69.53")
    assert wlan.ipconfig("addr4") == (ADDRESS, MASK)
    # With an address there is nothing to ask DHCP for.
    wlan.disconnect()
    assert not wlan.isconnected() and wlan.status() == network.STAT_IDLE
    wlan.connect()
    assert wlan.isconnected() and not lan.ipconfig("dhcp4")
    assert wlan.scan() == [] and wlan.status("rssi") == 0
    assert wlan.config("mac") == lan.config("mac")
    wlan.config(hostname="board")
    assert wlan.config("hostname") == wlan.config("dhcp_hostname") == "board"
    network.hostname("smolmpy")
    raises(ValueError, "unknown config param", wlan.config, "colour")
    raises(ValueError, "unknown config param", wlan.config, colour=1)
    raises(TypeError, "", wlan.config)
    raises(ValueError, "unknown status param", wlan.status, "colour")
    raises(ValueError, "interface_id", network.WLAN, 2)
    wlan.config(pm=wlan.PM_NONE)
    assert wlan.config("pm") == wlan.PM_NONE
    wlan.ifconfig(("192.168.69.2", MASK, "192.168.69.100", "192.168.69.53"))
    assert lan.ifconfig()[0] == "192.168.69.2"
    wlan.deinit()
    assert not lan.active()
    lan.active(True)
    raises(AttributeError, "WAN", getattr, network, "WAN")


def test_wlan_without_a_link():
    h, lan = wired()
    up = [False]
    h.device.link = lambda: up[0]
    wlan = network.WLAN(network.STA_IF)
    wlan.connect("ssid", "key")
    # For some seconds the link may be on its way; what waits no longer than that goes on.
    assert wlan.status() == network.STAT_CONNECTING
    h.t += 5000
    assert wlan.status() == network.STAT_CONNECTING and not wlan.isconnected()
    h.t += 6000
    assert wlan.status() == network.STAT_NO_AP_FOUND
    up[0] = True
    assert wlan.status() == network.STAT_CONNECTING
    h.t += 20000  # and no server of DHCP
    assert wlan.status() == network.STAT_CONNECT_FAIL
    wlan.connect()
    assert wlan.status() == network.STAT_CONNECTING
    h.t += 31000
    lan.ifconfig((ADDRESS, MASK, "192.168.69.100", "192.168.69.53"))
    assert wlan.status() == network.STAT_GOT_IP
    up[0] = False
    assert wlan.status() == network.STAT_NO_AP_FOUND and not wlan.isconnected()
    wlan.connect()
    assert wlan.status() == network.STAT_CONNECTING


def test_there_is_no_access_point():
    h, lan = wired()
    ap = network.WLAN(network.AP_IF)
    assert ap is not network.WLAN(network.STA_IF) and ap is network.WLAN(1)
    assert not ap.active() and ap.active(False) is None and lan.active()
    assert not ap.isconnected() and ap.status() == network.STAT_IDLE
    assert ap.status("stations") == []
    assert ap.ifconfig() == ("0.0.0.0",) * 4
    ap.config(essid="name", password="secret", security=0)
    assert ap.config("essid") == "name" and network.WLAN().config("essid") != "name"
    for call in (lambda: ap.active(True), ap.connect):
        e = raises(OSError, "access point", call)
        assert e.args[0] == 95
    ap.deinit()
    assert lan.active()


def test_the_constants_are_different():
    wired()
    names = ("IDLE", "CONNECTING", "GOT_IP", "CONNECT_FAIL", "NO_AP_FOUND", "WRONG_PASSWORD")
    assert len({getattr(network, "STAT_" + name) for name in names}) == len(names)
    assert hasattr(network, "WLAN") and network.STA_IF != network.AP_IF


def test_datagrams_of_the_link():
    """By default the largest that the link carries fits both ways; what does not fit says why."""
    for mtu in (1500, 576):
        h = Host(mtu=mtu)
        most = mtu - 28

        def wait(device, ms, h=h):
            h.t += 1

        for settings in ({}, {"udp_tx": 500, "udp_rx": 500}):
            h.iface = Host(mtu=mtu, sockets=12).iface
            h.device = h.iface.device
            socket.setup(h.iface, lambda h=h: h.now, wait, **settings)
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.bind(("", 5000))
            u.settimeout(0)
            where = (PEER, 7)
            limit = settings.get("udp_tx", most)
            u.sendto(bytes(limit), where)
            h.expect("udp", data=bytes(limit))
            h.inject(udp(9, 5000, bytes(limit)))
            assert u.recv(2000) == bytes(limit)
            for call in (u.sendto, u.send, u.write, u.sendall):
                args = (where,) if call == u.sendto else ()
                e = raises(OSError, str(limit), call, bytes(limit + 1), *args)
                assert e.args[0] == 90
                assert ("udp_tx" in str(e)) == bool(settings), e
                if settings:
                    assert str(most) in str(e)
                u.connect(where)


def test_a_constructor_of_what_is_no_number():
    wired(address=True)
    raises(TypeError, "af", socket.socket, None)
    raises(TypeError, "type", socket.socket, socket.AF_INET, None)
    raises(TypeError, "proto", socket.socket, socket.AF_INET, socket.SOCK_RAW, None)
    raises(TypeError, "af", socket.socket, "AF_INET")
