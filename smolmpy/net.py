"""The host of a program: the one interface that `socket`, `network` and asyncio share.

`setup()` says which interface it is and where time comes from. From then on whoever waits for the
network calls `pump()`, which lets the interface work, and `rest()`, which sleeps until there may
be something to do.
"""

try:
    import time
except ImportError:  # a board whose clock its own module has
    time = None

iface = None
ticks_ms = None
now = 0  # the time of the last pump()
up = False  # whether the interface is to work: network.LAN.active()
resolve = None  # resolve(host) -> an address as text or 4 bytes; OSError with a negative number
dns = []  # addresses of name servers, as text, the preferred one first
hostname = "smolmpy"
pool = None  # of sockets (smolmpy/compat/pool.py), which is let work as well
alarm = None  # alarm(delay): told after each pump() when the next is due; asyncio's task
notify = None  # called after each pump(), when the stack is at rest
again = False  # what notify() had to say could not be said: pump() is to be called soon
busy = False  # the stack is at work, or a call into it is: pump() from an interrupt has to wait

_wait = None


def setup(interface, ticks=None, wait=None):
    """Makes `interface` the one of this program.

    ticks() is the clock, in milliseconds; it may wrap at 2^30 or later (time.ticks_ms by
    default). wait(device, ms) sleeps until a frame may be waiting or `ms` have passed (-1: no
    limit), and may return early; by default a millisecond at a time is slept.
    """
    global iface, pool, ticks_ms, _wait, up
    check_clock(ticks, wait)
    iface = interface
    pool = None
    ticks_ms = ticks or time.ticks_ms
    _wait = wait or _nap
    up = True
    pump()


def check_clock(ticks, wait):
    """Raises TypeError or ValueError for what setup() can not take as its clock."""
    for name, value, usual in (("ticks_ms", ticks, "ticks_ms"), ("wait", wait, "sleep_ms")):
        if value is None:
            if not hasattr(time, usual):
                raise ValueError(
                    "%s: this firmware has no time.%s in its place; give the board's, "
                    "ticks_ms=board.ticks_ms, wait=board.wait" % (name, usual)
                )
        elif not callable(value):
            raise TypeError("%s must be a function" % name)


def _nap(device, ms):
    if ms:
        time.sleep_ms(1)


def pump(_=None):
    """Lets the interface work; returns the number of frames moved.

    May be called from anywhere, as a soft interrupt too (`machine.Timer(period=20, callback=
    net.pump)`, `device.irq(net.pump)`): where that would interrupt the stack it returns at once.
    """
    global busy, now, again
    if busy or not up:
        return 0
    busy = True
    again = False
    try:
        t = now = ticks_ms()
        moved = iface.poll(t)
        if pool is not None:
            pool.poll(t)
    finally:
        busy = False
    if notify is not None:
        notify()
    if alarm is not None:
        alarm(delay())
    return moved


def delay():
    """Milliseconds until pump() has something to do by itself; 0: at once, -1: nothing."""
    if not up:
        return -1
    if again:
        return 1
    t = ticks_ms()
    least = iface.poll_delay(t)
    if pool is not None:
        ms = pool.poll_delay(t)
        if ms >= 0 and (least < 0 or ms < least):
            return ms
    return least


def rest(limit=-1):
    """Sleeps until pump() may have something to do, at most `limit` ms (-1: no limit)."""
    ms = delay()
    if limit >= 0 and (ms < 0 or ms > limit):
        ms = limit
    _wait(iface.device, ms)


def elapsed(since):
    """Milliseconds since ticks_ms() was `since`, less than 2^30 ago."""
    return (ticks_ms() - since) & 0x3FFFFFFF
