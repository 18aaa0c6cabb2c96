"""The module `network`, by its name of old."""

from .compat.network import *  # noqa: F403
