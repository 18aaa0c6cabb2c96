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


def _main():
    current = _FILE.exists() and _FILE.read_text() == text()
    if "--check" in sys.argv:
        say(f"package.json is {'up to date' if current else 'stale: run tools.package'}")
        return not current
    _FILE.write_text(text())
    return 0


if __name__ == "__main__":
    main(_main)
