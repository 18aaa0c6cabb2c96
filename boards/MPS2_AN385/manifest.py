# What this board needs: no devices of hosts, no chips on SPI, one edition of the kernels.
import os

_LEFT_OUT = (
    "link/header.py",
    "link/prediction.py",
    "core/siphash.py",
    "kernel/libc_viper.py",
    "kernel/plain.py",
    "kernel/viper.py",
    "phy/board.py",
    "phy/enc28j60.py",
    "phy/libc.py",
    "phy/packet.py",
    "phy/spi.py",
    "phy/tap.py",
    "phy/w5100s.py",
    "phy/w5500.py",
    "phy/w6100.py",
    "sockets/datagram.py",
    "tcp/prediction.py",
)

_top = os.path.abspath("../../smolmpy")
_files = []
for _folder, _, _names in os.walk(_top):
    for _name in _names:
        _path = os.path.relpath(os.path.join(_folder, _name), _top)
        if _path.endswith(".py") and _path not in _LEFT_OUT:
            _files.append(_path)

package("smolmpy", files=tuple(sorted(_files)), base_path="../..", opt=3)
module("smolmpy_board.py", opt=3)
