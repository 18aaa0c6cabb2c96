"""The module `socket`: for a file of that name with `from smolmpy.socket import *`."""

from .compat.socket import *  # noqa: F403
