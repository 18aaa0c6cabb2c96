"""Brings MicroPython's builtin names to every CPython that has this folder on its path."""

import micropython  # noqa: F401
