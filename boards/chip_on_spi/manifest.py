# What boards with an Ethernet chip on SPI include. `drivers` are modules of smolmpy/phy; `thumb`
# tells that the CPU is a Cortex-M, for which hot paths are in assembly; `lean` leaves out what is
# built upon sockets: the services, and what stands in for `socket` and `network`. Devices of
# hosts, other chips and editions for other CPUs stay out.
import os

options.defaults(drivers=("w5500",), thumb=True, lean=False)

_PHY = ("__init__", "board", "fault", "loopback", "spi", "tracer") + options.drivers
_KERNEL = ("__init__", "trial", "thumb" if options.thumb else "viper")
_CHOICE = {"phy": _PHY, "kernel": _KERNEL}
if options.lean:
    _CHOICE["services"] = _CHOICE["compat"] = ()
    _CHOICE["."] = ("__init__", "errno")

_top = os.path.abspath("../../smolmpy")
_files = []
for _folder, _, _names in os.walk(_top):
    _chosen = _CHOICE.get(os.path.relpath(_folder, _top))
    for _name in _names:
        if not options.thumb and _name.endswith("_thumb.py"):
            continue
        if _name.endswith(".py") and (_chosen is None or _name[:-3] in _chosen):
            _files.append(os.path.relpath(os.path.join(_folder, _name), _top))

package("smolmpy", files=tuple(sorted(_files)), base_path="../..", opt=3)
