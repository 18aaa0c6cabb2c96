"""The interface under asyncio: a task that lets it work when it is time, and sleeps otherwise.

    smolmpy.aio.start()        # then asyncio.run() as ever, or a library that calls it

MicroPython's own streams (open_connection, start_server) run on the sockets of this stack once
`socket` is smolmpy's (`smolmpy.network.install()`), before asyncio imports it.
"""

import asyncio
from asyncio import core

from micropython import const

from .. import net

_FAR = const(60000)


class _Pump:
    """Sleeps until the interface has something to do. Whatever else polls it meanwhile may find
    that this is sooner: then the sleeping task is brought forward, for which asyncio has no
    public call; asyncio's own Task.cancel() does the same."""

    def __init__(self, most):
        self.most = most
        self.task = None
        self.due = 0

    async def run(self):
        self.task = core.cur_task
        net.alarm = self.arm
        try:
            while True:
                net.pump()
                self.due = core.ticks_add(core.ticks(), self._limited(net.delay()))
                ms = core.ticks_diff(self.due, core.ticks())
                await asyncio.sleep_ms(ms if ms > 0 else 0)
        finally:
            net.alarm = None

    def _limited(self, ms):
        return ms if 0 <= ms < self.most else self.most

    def arm(self, delay):
        if core.cur_task is self.task:
            return
        due = core.ticks_add(core.ticks(), self._limited(delay))
        if core.ticks_diff(due, self.due) < 0:
            self.due = due
            core._task_queue.remove(self.task)
            core._task_queue.push(self.task, due)


async def _readable(fd):
    while True:
        await _Descriptor(fd)
        net.pump()


class _Descriptor:
    """Awaits that a descriptor can be read."""

    def __init__(self, fd):
        self.fd = fd
        self.waits = False

    def __iter__(self):
        return self

    __await__ = __iter__

    def __next__(self):
        if self.waits:
            raise StopIteration
        self.waits = True
        core._io_queue.queue_read(self.fd)


async def _interrupted(flag):
    while True:
        await flag.wait()
        net.pump()


def start(interrupt=None, interval=10):
    """Makes the interface's task; asyncio.run() runs it. Returns the tasks, for cancel().

    interrupt: the chip's interrupt line, a machine.Pin, or an asyncio.ThreadSafeFlag that an
    interrupt sets; by default the device's own, if it has one, and on a host its descriptor.
    Without any the device is looked at every `interval` ms.
    """
    device = net.iface.device
    fd = device.fileno() if hasattr(device, "fileno") else -1
    tasks = []
    if interrupt is None and hasattr(getattr(device, "interrupt", None), "irq"):
        interrupt = device.interrupt
    if interrupt is not None:
        flag = interrupt
        if not hasattr(flag, "wait"):
            flag = asyncio.ThreadSafeFlag()
            if getattr(device, "interrupt", None) is interrupt:
                device.irq(lambda _: flag.set())  # which tells the driver as well
            else:
                interrupt.irq(lambda _: flag.set(), interrupt.IRQ_FALLING)
        tasks.append(asyncio.create_task(_interrupted(flag)))
    elif fd >= 0:
        from .aio_host import install

        install()
        tasks.append(asyncio.create_task(_readable(fd)))
    tasks.append(asyncio.create_task(_Pump(_FAR if tasks else interval).run()))
    return tasks
