"""The interface's task under asyncio, by its name of old."""

from .compat.aio import *  # noqa: F403
