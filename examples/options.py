"""What the larger examples share: their command line, and the host that it describes.

    -a ADDR/PREFIX  our own address (192.168.69.1/24)
    -g GATEWAY      the default route (none)

A board has no command line: there these are as they stand here.
"""

import sys

import smolmpy_board as board
from smolmpy import Interface

MAC = "02-00-00-00-00-01"  # where the device has no address of its own


def parse(args, usage, defaults, least=0, most=None):
    """The options as a dict, and the list of what follows them.

    `defaults` are the further options; one whose default is False takes no value. Fewer than
    `least` arguments, more than `most` (None: `least`), or an option that is not known end the
    program with the usage.
    """
    given = {"-a": "192.168.69.1/24", "-g": ""}
    given.update(defaults)
    rest = list(args)
    fits = True
    while fits and rest and rest[0][:1] == "-":
        name = rest.pop(0)
        if given.get(name) is False:
            given[name] = True
        elif name in given and rest:
            given[name] = rest.pop(0)
        else:
            fits = False
    if not fits or not least <= len(rest) <= (least if most is None else most):
        stop("usage: " + usage)
    return given, rest


def stop(text, status=2):
    """Ends the program with a sentence."""
    print(text, file=sys.stderr)
    sys.exit(status)


def number(given, name, least=0):
    """The whole number that an option gives."""
    text = given[name]
    if not text.isdigit() or int(text) < least:
        stop("%s %s: a whole number from %d up is expected" % (name, text, least))
    return int(text)


def host(given, sockets):
    """The board's device, and an interface on it with the addresses that the options give."""
    try:
        device = board.device()
        iface = Interface(device, getattr(device, "mac", None) or MAC, sockets=sockets)
        iface.add_address(given["-a"])
        if given["-g"]:
            iface.gateway = given["-g"]
    except ValueError as problem:
        stop(str(problem))
    return device, iface


def run(device, step):
    """Calls `step(now)`, which returns how long there is nothing to do (-1: no limit), for ever.

    Ctrl-C ends it.
    """
    try:
        while True:
            board.wait(device, step(board.ticks_ms()))
    except KeyboardInterrupt:
        pass
