"""Keeps package.json, which mip reads, in step with the files of smolmpy and its version.

With --check nothing is written; the status says whether the file is up to date.
"""

import json
import re
import sys

from tools.common import ROOT, main, say

_FILE = ROOT / "package.json"
_VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)


def version():
    """The version, as smolmpy/__init__.py states it; every other place repeats it."""
    return _VERSION.search((ROOT / "smolmpy" / "__init__.py").read_text())[1]


def text():
    """What package.json has to be. Its addresses are relative, so a clone or a fork serves."""
    paths = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "smolmpy").rglob("*.py"))
    package = {"urls": [[path, path] for path in paths], "deps": [], "version": version()}
    # One file a line: a new module changes one line.
    body = json.dumps(package, indent=2)
    body = re.sub(r"\[\s+(\"[^\"]+\"),\s+(\"[^\"]+\")\s+\]", r"[\1, \2]", body)
    return body + "\n"


def update(check=False):
    """Writes package.json, or with `check` says if it is stale; returns the status, 0 for good."""
    if _FILE.exists() and _FILE.read_text() == text():
        return 0
    if check:
        say("package.json is stale: 'make format' brings it up to date")
        return 1
    _FILE.write_text(text())
    return 0


if __name__ == "__main__":
    main(lambda: update("--check" in sys.argv))
