"""The module `network`, by its name of old."""

# Not `*`: MicroPython from 1.26 on asks a module for __all__, and what its __getattr__ raises then
# ends the import.
from .compat.network import LAN, __getattr__, country, hostname, install, ipconfig

__all__ = ("LAN", "country", "hostname", "install", "ipconfig", "__getattr__")
