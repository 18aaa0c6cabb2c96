"""smolmpy.socket and smolmpy.network: names under which programs know modules of compat."""

import sys

import smolmpy
from harness import *
from smolmpy import net, network, socket


def through(name):
    """What `import smolmpy.NAME` gives, as if it were the first, and `from it import *`."""
    whole = "smolmpy." + name
    door = __import__(whole, None, None, ("*",))
    names = {}
    exec("from %s import *" % whole, names)
    sys.modules.pop(whole)
    if name in dir(smolmpy):
        delattr(smolmpy, name)  # `from smolmpy import` gives the module itself again
    return door, names


def own(module):
    """The public names that a module defines, not those that it imports."""
    found = []
    for name in dir(module):
        value = getattr(module, name)
        if not name.startswith("_") and getattr(value, "__name__", name) == name:
            if type(value) is not type(sys):
                found.append(name)
    return found


NETWORK = ("LAN", "country", "hostname", "install", "ipconfig")
WIRELESS = ("WLAN", "STA_IF", "AP_IF", "STAT_GOT_IP")


def test_socket():
    door, names = through("socket")
    assert len(own(socket)) > 30
    for name in own(socket):
        assert getattr(door, name) is getattr(socket, name), name
        assert names[name] is getattr(socket, name), name


def test_network_and_what_wireless_boards_have():
    door, names = through("network")
    for name in NETWORK + WIRELESS:
        assert getattr(door, name) is getattr(network, name), name
        assert name in WIRELESS or names[name] is getattr(network, name), name
    raises(AttributeError, "", lambda: door.WLANS)


def test_the_package_gives_them_too():
    assert smolmpy.socket is socket and smolmpy.network is network and smolmpy.net is net
    raises(AttributeError, "", lambda: smolmpy.nothing)
