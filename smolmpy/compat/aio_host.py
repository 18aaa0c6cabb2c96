"""asyncio on a host: that it does not sleep while there is something to do (aio.py).

select.poll of the unix port waits a millisecond before each look at objects that have no
descriptor, whatever it is allowed to wait. asyncio polls before each task that it runs, so of a
request that takes a dozen of turns nearly all the time was that.
"""

import select
from asyncio import core


def install():
    """Has asyncio look at once, and wait only where nothing is ready."""
    queue = core._io_queue
    wait = queue.wait_io_event
    ready = open("/dev/null")  # it always is, and so poll() does not wait
    looked = [-1]

    def wait_io_event(ms):
        now = core.ticks()
        if not ms and now == looked[0]:
            return  # a task can run; it may be one of many in this millisecond
        looked[0] = now
        queue.map[id(ready)] = [None, None, ready]  # nobody waits for it: asyncio drops it again
        queue.poller.register(ready, select.POLLIN)
        wait(0)
        if ms:
            task = core._task_queue.peek()
            if task is None or core.ticks_diff(task.ph_key, core.ticks()) > 0:
                wait(ms)

    queue.wait_io_event = wait_io_event
