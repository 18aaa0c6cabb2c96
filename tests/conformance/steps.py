"""What a call costs, counted, so that it is the same on a slow machine and under load.

On CPython a step is a line of smolmpy that is run. Elsewhere nothing is counted, and a call that
never returns is ended by who runs the scenarios.
"""

import sys

COUNTED = hasattr(sys, "settrace") and sys.implementation.name == "cpython"


def count(function, *args, limit=None):
    """Calls it; returns the steps that it took, 0 where they are not counted.

    With a limit AssertionError is raised from where it is passed.
    """
    if not COUNTED:
        function(*args)
        return 0
    steps = 0

    def line(frame, event, arg):
        nonlocal steps
        if event == "line":
            steps += 1
            if limit and steps > limit:
                raise AssertionError("more than %d steps" % limit)
        return line

    def call(frame, event, arg):
        return line if "/smolmpy/" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        function(*args)
    finally:
        sys.settrace(before)
    return steps
