"""A network of one's own: this process alone in a new network namespace, with taps on request.

Everything here is done with system calls, so neither `ip` nor `unshare` has to be installed. The
namespace and all that is in it are gone when the last process inside has ended.
"""

import ctypes
import errno
import fcntl
import ipaddress
import os
import socket
import stat
import struct

from tools.common import Missing

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_IFF_UP = 1
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP = 2
_IFF_NO_PI = 0x1000

_entered = False


def enter():
    """Moves this process, which must have a single thread, into a new network namespace.

    As an ordinary user it takes a new user namespace as well. Raises Missing where the system
    allows neither. A second call changes nothing.
    """
    global _entered
    if _entered:
        return
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid == 0:
            _unshare(_CLONE_NEWNET)
        else:
            _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"0 {uid} 1")
            _write("/proc/self/gid_map", f"0 {gid} 1")
        _entered = True
        up("lo")
    except OSError as error:
        raise Missing(
            f"this system does not let user {uid} make a private network namespace "
            f"({error.strerror}): run as root, or allow unprivileged user namespaces."
        ) from None


def _unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)


def _ioctl(request, name, payload):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, request, struct.pack("16s24s", name.encode(), payload))


def up(name):
    """Brings a network device up."""
    (flags,) = struct.unpack_from("H", _ioctl(_SIOCGIFFLAGS, name, b""), 16)
    _ioctl(_SIOCSIFFLAGS, name, struct.pack("H", flags | _IFF_UP))


def configure(name, address):
    """Gives a device an address such as "192.168.69.100/24" and brings it up."""
    wanted = ipaddress.ip_interface(address)
    for request, value in ((_SIOCSIFADDR, wanted.ip), (_SIOCSIFNETMASK, wanted.netmask)):
        _ioctl(request, name, struct.pack("HH4s", socket.AF_INET, 0, value.packed))
    up(name)


def exists(name):
    return name in (device for _, device in socket.if_nameindex())


def open_tap(name):
    """Opens a tap, made if it does not exist; one read or write of the descriptor is one frame."""
    path = "/dev/net/tun"
    try:
        if not os.path.exists(path) and os.geteuid() == 0 and not _entered_as_user():
            os.makedirs("/dev/net", exist_ok=True)
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(10, 200))
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Missing(f"taps are not to be had: {path}: {error.strerror}.") from None
    try:
        flags = _IFF_TAP | _IFF_NO_PI
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EBUSY:
            raise Missing(f"{name} is in use by another program.") from None
        raise Missing(f"{name} can not be opened as a tap: {error.strerror}.") from None
    return fd


def _entered_as_user():
    with open("/proc/self/uid_map") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def keep_tap(name, keep=True):
    """Makes a tap that stays without a program that holds it open, or removes such a tap."""
    fd = open_tap(name)
    fcntl.ioctl(fd, _TUNSETPERSIST, int(keep))
    os.close(fd)
