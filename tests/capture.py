"""Captures what passes a network device with tcpdump, and has tshark judge it."""

import re
import shutil
import signal
import subprocess

from tools.common import Missing
from tools.host import PORT
from tools.launcher import die_with_parent

_CHECKSUMS = ("ip", "icmp", "udp", "tcp")
# tshark's names for how bad a remark of its analysis is.
_WARNING = 0x600000
# Between the values of a field that a frame has more than once.
_AGGREGATOR = "|"


def require():
    for program in ("tcpdump", "tshark"):
        if not shutil.which(program):
            raise Missing(f"{program} is missing: 'make deps' brings it.")


class Capture:
    """A context: inside, every frame on `device` goes to the file `path`."""

    def __init__(self, device, path):
        self.path = path
        self.argv = ["tcpdump", "--immediate-mode", "-n", "-U", "-Z", "root"]
        # Room for all of a busy test's frames, in case tcpdump gets no processor for a while.
        self.argv += ["-s", "2048", "-B", "131072", "-i", device, "-w", str(path)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.argv, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        line = self.process.stderr.readline()
        while line and "listening on" not in line:
            line = self.process.stderr.readline()
        assert line, "tcpdump did not start"
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the capture; raises AssertionError if it missed frames."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        assert re.search(r"(?m)^0 packets dropped by kernel", said), said


def read(path, *fields, only=""):
    """Yields the values of `fields` of each frame that the display filter `only` lets pass."""
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t"]
    argv += ["-E", f"aggregator={_AGGREGATOR}"]
    for name in _CHECKSUMS:
        if name != "icmp":  # always checked
            argv += ["-o", f"{name}.check_checksum:TRUE"]
    # Our payload is no protocol, whatever is registered for the port.
    for name in ("tcp", "udp"):
        argv += ["-d", f"{name}.port=={PORT},data"]
    if only:
        argv += ["-Y", only]
    for field in fields:
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        yield tuple(line.split("\t"))


def problems(path, mac, expected=()):
    """What is wrong with a capture, one line a frame.

    That is: malformed packets, bad checksums in what `mac` sent, and remarks of tshark's analysis
    that are warnings or worse, unless their text matches one of the regular expressions
    `expected`. Linux's own checksums are not judged: it sends 0xFFFF for a TCP checksum of 0,
    which tshark takes for bad.
    """
    remarks = read(
        path,
        "frame.number",
        "eth.src",
        "_ws.expert.severity",
        "_ws.expert.message",
        only=f"_ws.malformed || _ws.expert.severity >= {_WARNING}",
    )
    found = []
    for number, source, severities, texts in remarks:
        pairs = zip(severities.split(_AGGREGATOR), texts.split(_AGGREGATOR), strict=True)
        for severity, text in pairs:
            linux = source != mac and "0x0000 (see RFC 1624)" in text
            known = linux or any(re.search(pattern, text) for pattern in expected)
            if int(severity) >= _WARNING and not known:
                found.append(f"frame {number}: {text}")
    # A bad checksum is a remark as well; that it is one is tshark's choice.
    bad = " || ".join(f"{name}.checksum.status == 0" for name in _CHECKSUMS)
    only = f"eth.src == {mac} && ({bad})"
    return found + [f"frame {n}: bad checksum" for (n,) in read(path, "frame.number", only=only)]
