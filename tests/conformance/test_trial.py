"""The trial that a firmware has to pass before smolmpy is imported."""

import sys

KERNEL = "smolmpy.kernel"
TRIAL = "smolmpy.kernel.trial"


class Trial:
    """What stands in for the module: it finds what it is told."""

    def __init__(self, found):
        self.verdict = lambda: found


def import_with(trial):
    """Imports the kernel anew, with this trial; afterwards all is as it was."""
    kernel = sys.modules.pop(KERNEL)
    sys.modules[TRIAL] = trial
    try:
        __import__(KERNEL)
    finally:
        sys.modules[KERNEL] = kernel
        sys.modules.pop(TRIAL, None)


def test_this_firmware_passes():
    trial = __import__(TRIAL, None, None, ("verdict",))
    try:
        assert trial.verdict() is None
    finally:
        sys.modules.pop(TRIAL, None)


def test_nothing_of_it_remains():
    __import__(KERNEL)
    import_with(Trial(None))
    assert TRIAL not in sys.modules


def test_what_it_finds_is_said():
    __import__(KERNEL)
    try:
        import_with(Trial("this is wrong: do that"))
    except ImportError as error:
        assert "this is wrong: do that" in str(error)
    else:
        raise AssertionError("imported")
    import_with(Trial(None))
