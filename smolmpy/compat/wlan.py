"""`network.WLAN` on a wired interface: programs for wireless boards find what they look for.

The station (STA_IF) is the LAN that has been made: to connect is to have DHCP get an address, if
there is none, and connected is who has a link and an address. There is no access point (AP_IF):
it is never active. smolmpy.network loads this module when one of its names is asked for.
"""

from micropython import const

from .. import net
from . import network

STA_IF = 0
AP_IF = 1
# As on boards with a CYW43.
STAT_IDLE = 0
STAT_CONNECTING = 1
STAT_GOT_IP = 3
STAT_CONNECT_FAIL = -1
STAT_NO_AP_FOUND = -2
STAT_WRONG_PASSWORD = -3

_READY = const(3)  # LAN.status()
_NO_LINK = const(0)
# For so long after connect() it is "connecting" without a link, and without an address.
_LINK_MS = const(10000)
_ADDRESS_MS = const(30000)
_EOPNOTSUPP = const(95)
_ENETDOWN = const(100)

# What may be set, and is kept, although a wire has no use for it.
_KEPT = (
    "ssid essid channel hidden security authmode key password reconnects txpower pm antenna "
    "protocol max_clients bssid trace monitor"
).split()

_made = {}


class WLAN:
    """`WLAN(STA_IF)`, `WLAN(AP_IF)`: one object for each. OSError(ENODEV) where no LAN is made."""

    IF_STA = STA_IF
    IF_AP = AP_IF
    SEC_OPEN = 0
    SEC_WPA_WPA2 = 0x00400006
    SEC_WPA3 = 0x01000004
    SEC_WPA2_WPA3 = 0x01400004
    PM_NONE = 0x10
    PM_PERFORMANCE = 0xA11142
    PM_POWERSAVE = 0xA11C82

    def __new__(cls, interface_id=STA_IF):
        if interface_id not in (STA_IF, AP_IF):
            raise ValueError("interface_id must be STA_IF or AP_IF")
        network.LAN()
        if interface_id not in _made:
            _made[interface_id] = super().__new__(cls)
        return _made[interface_id]

    def __init__(self, interface_id=STA_IF):
        if hasattr(self, "_settings"):
            return
        self._is_station = interface_id == STA_IF
        self._settings = {}
        self._left = False  # disconnect() has been called last
        self._since = net.now  # when connect() was called; None: long ago

    def _need_station(self):
        if not self._is_station:
            raise OSError(_EOPNOTSUPP, "AP_IF: a wired interface is no access point")

    def active(self, value=None):
        """Of the station as LAN.active(). An access point is not to be had: OSError."""
        if value:
            self._need_station()
            network.LAN().active(True)
            self._since = net.ticks_ms()
            return None
        if self._is_station:
            return network.LAN().active(value)
        return False if value is None else None

    def deinit(self):
        """As active(False)."""
        self.active(False)

    def connect(self, ssid=None, key=None, **_):
        """Begins to get an address by DHCP, unless there is one. Does not wait."""
        self._need_station()
        lan = network.LAN()
        if not lan.active():
            raise OSError(_ENETDOWN, "connect: call active(True) first")
        if ssid is not None:
            self._settings["ssid"] = ssid
        self._left = False
        self._since = net.ticks_ms()
        if not lan.iface.addresses():
            lan.ipconfig(dhcp4=True)

    def disconnect(self):
        """From now on isconnected() is False, until connect(). The address stays."""
        self._left = self._is_station

    def isconnected(self):
        """Whether there are a link and an address."""
        return self.status() == STAT_GOT_IP

    def status(self, param=None):
        """STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP; STAT_NO_AP_FOUND without a link 10 s after
        connect(), STAT_CONNECT_FAIL without an address after 30 s, which may still come.

        status("rssi") is 0, as strong as can be; status("stations") of an access point is [].
        """
        if param == "rssi" and self._is_station:
            return 0
        if param == "stations" and not self._is_station:
            return []
        if param is not None:
            raise ValueError("unknown status param")
        if not self._is_station:
            return STAT_IDLE
        lan = network.LAN()
        status = lan.status()  # which lets the interface work
        if self._left or not lan.active():
            return STAT_IDLE
        if status == _READY:
            return STAT_GOT_IP
        waited = _ADDRESS_MS
        if self._since is not None:
            waited = net.elapsed(self._since)
            if waited >= _ADDRESS_MS:
                self._since = None
        if status == _NO_LINK:
            return STAT_NO_AP_FOUND if waited >= _LINK_MS else STAT_CONNECTING
        if not lan.ipconfig("dhcp4"):
            return STAT_IDLE
        return STAT_CONNECT_FAIL if waited >= _ADDRESS_MS else STAT_CONNECTING

    def scan(self, *_, **__):
        """[]: there are no networks in the air."""
        return []

    def ifconfig(self, config=None):
        """Of the station as LAN.ifconfig()."""
        if self._is_station:
            return network.LAN().ifconfig(config)
        return ("0.0.0.0",) * 4 if config is None else None

    def ipconfig(self, param=None, **values):
        """Of the station as LAN.ipconfig()."""
        self._need_station()
        return network.LAN().ipconfig(param, **values)

    def config(self, *param, **values):
        """As LAN.config(). Settings of the radio are kept, and do nothing."""
        if len(param) + bool(values) != 1:
            raise TypeError("one param, or some to set")
        lan = network.LAN()
        for name in values:
            if name in _KEPT:
                self._settings["ssid" if name == "essid" else name] = values[name]
            elif name == "dhcp_hostname":
                lan.config(hostname=values[name])
            else:
                lan.config(**{name: values[name]})
        if values:
            return None
        name = param[0]
        if name == "ssid" or name == "essid":
            return self._settings.get("ssid", "")
        if name in _KEPT:
            return self._settings.get(name, 0)
        return lan.config("hostname" if name == "dhcp_hostname" else name)

    def send_ethernet(self, frame):
        """As LAN.send_ethernet()."""
        self._need_station()
        network.LAN().send_ethernet(frame)
