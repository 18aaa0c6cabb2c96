"""Prints the frames on an interface, or saves them.

    tcpdump.py [-i IF | -i tap:NAME] [-c COUNT] [-w FILE] [-s SNAPLEN]

`-i IF` listens to a network interface of the host through a packet socket, `-i tap:NAME` is the
far end of a tap; without `-i` it is the board's device. `-w` writes a capture file that tcpdump
and Wireshark read. Ends after COUNT frames, or with Ctrl-C. Needs the rights to listen.
"""

import select
import sys
import time

from smolmpy.wire import describe
from smolmpy.wire.pcap import PcapWriter

_USAGE = "usage: tcpdump.py [-i IF | -i tap:NAME] [-c COUNT] [-w FILE] [-s SNAPLEN]"


def options(args):
    """The options as a dict; exits with the usage where they are not understood."""
    given = {"-i": "", "-w": "", "-c": "0", "-s": "65535"}
    args = list(args)
    while args:
        name = args.pop(0)
        if name == "-n":  # there are no names to look up anyway
            continue
        if name not in given or not args:
            usage()
        given[name] = args.pop(0)
    if not given["-c"].isdigit() or not given["-s"].isdigit():
        usage()
    return given


def usage():
    print(_USAGE, file=sys.stderr)
    sys.exit(2)


def open_device(name):
    kind, _, rest = name.partition(":")
    if not name:
        import smolmpy_board

        return smolmpy_board.device()
    if kind == "tap":
        from smolmpy.phy.tap import TapDevice

        return TapDevice(rest)
    from smolmpy.phy.packet import PacketDevice

    return PacketDevice(name, promiscuous=True, outgoing=True)


def frames(device, count):
    """Yields `(buf, length)` for each frame, for ever or `count` times."""
    # A frame may be longer than the interface's MTU where the kernel leaves cutting it to others.
    buf = bytearray(65550)
    poller = select.poll()
    fd = device.fileno() if hasattr(device, "fileno") else -1
    if fd >= 0:
        poller.register(fd, select.POLLIN)
    while True:
        n = device.receive(buf)
        if n > 0:
            yield buf, n
            count -= 1
            if count == 0:
                return
        elif fd < 0:
            time.sleep_ms(1)
        elif n == 0:
            poller.poll(1000)
        else:
            print("tcpdump: the device failed, errno %d" % -n, file=sys.stderr)
            poller.poll(1000)


def clock_text(now, epoch, start):
    """`HH:MM:SS.mmm` (UTC) of the clock value `now`; `start` corresponds to `epoch` seconds."""
    ms = time.ticks_diff(now, start)
    s = (epoch + ms // 1000) % 86400
    return "%02d:%02d:%02d.%03d" % (s // 3600, s // 60 % 60, s % 60, ms % 1000)


def main(args):
    given = options(args)
    device = open_device(given["-i"])
    epoch = int(time.time())
    start = time.ticks_ms()
    print("listening on %s" % (given["-i"] or "the board's device"), file=sys.stderr)
    writer = None
    file = None
    seen = 0
    try:
        if given["-w"]:
            file = open(given["-w"], "wb")
            writer = PcapWriter(file, epoch, start, int(given["-s"]))
        for buf, n in frames(device, int(given["-c"])):
            seen += 1
            now = time.ticks_ms()
            if writer:
                writer.write(buf, n, now)
            else:
                print(clock_text(now, epoch, start), describe(buf, n))
    except KeyboardInterrupt:
        pass
    finally:
        if file:
            file.close()
        if hasattr(device, "close"):
            device.close()
    print("%d frames" % seen, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
