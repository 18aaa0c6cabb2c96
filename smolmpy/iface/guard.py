"""A device that raises OSError where it should return a negative errno.

The usual one pays nothing for that: it is called by way of these only after it has raised once
(poll.py).
"""

from ..errno import EAGAIN, EIO


def guard(device):
    """receive and transmit of a device, which return what they raise."""
    receive = device.receive
    transmit = device.transmit

    def guarded_receive(buf):
        try:
            return receive(buf)
        except OSError as error:
            n = _number(error)
            return 0 if n == -EAGAIN else n  # that nothing has come is no fault

    def guarded_transmit(buf, length):
        try:
            return transmit(buf, length)
        except OSError as error:
            return _number(error)

    return guarded_receive, guarded_transmit


def _number(error):
    # CPython has no error.errno where there is but a number.
    n = error.args[0] if error.args else 0
    return -n if isinstance(n, int) and n > 0 else -EIO
