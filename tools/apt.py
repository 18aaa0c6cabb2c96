"""Packages of Debian or Ubuntu, fetched into build/apt/ without changing the system.

They come from the mirror that this system installs its own packages from, also from suites newer
than its own. Everything that apt writes goes below build/, so this works without root as well.
"""

import re
import shlex
import shutil
from pathlib import Path

from tools.common import BUILD, Missing, locked, run

_FOLDER = BUILD / "apt"
# The suites that have what this system's own may have too old: the oldest that will do, and the
# newest that there is.
_SUITES = {"debian": ("trixie", "sid"), "ubuntu": ("resolute", "devel")}


class Apt:
    """The packages of one suite; `newest`: the newest suite, not the oldest that will do."""

    def __init__(self, newest=False):
        if not shutil.which("apt-get"):
            raise Missing("this system has no apt-get.")
        system, codename = _release()
        if system not in _SUITES:
            raise Missing(f"it is not known which suites {system} has.")
        suite = _SUITES[system][newest]
        mirror, signed = _mirror(codename)
        component = "main universe" if system == "ubuntu" else "main"
        option = f"[signed-by={signed}] " if signed else ""
        self.suite = suite
        self.folder = _FOLDER / suite
        self._sources = "".join(
            f"{kind} {option}{mirror} {suite} {component}\n" for kind in ("deb", "deb-src")
        )

    def source(self, package):
        """The original archive of a source package."""
        return self._fetch(("source", "--download-only"), f"{package}_*.orig.tar.*", package)

    def binary(self, package):
        """The .deb of a package."""
        return self._fetch(("download",), f"{package}_*.deb", package)

    def _fetch(self, what, pattern, package):
        with locked("apt"):
            ready = sorted(self.folder.glob(pattern))
            if not ready:
                self._update()
                scratch = self.folder / "fetching"
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir()
                try:
                    self._run(*what, package, cwd=scratch)
                except Missing:
                    # Of a source package only the archive is needed, whatever else is not there.
                    if not list(scratch.glob(pattern)):
                        raise
                for path in sorted(scratch.glob(pattern)):
                    ready.append(path.rename(self.folder / path.name))
                shutil.rmtree(scratch)
            if not ready:
                raise Missing(f"{self.suite} has no {package}.")
            return ready[-1]

    def _update(self):
        lists = self.folder / "lists"
        if lists.exists():
            return
        (lists / "partial").mkdir(parents=True)
        (self.folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (self.folder / "sources.list").write_text(self._sources)
        try:
            self._run("update", cwd=self.folder)
        except BaseException:
            shutil.rmtree(lists)
            raise

    def _run(self, *command, cwd):
        options = {
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": self.folder / "lists",
            "Dir::Cache": self.folder / "cache",
            "APT::Sandbox::User": "",
        }
        apt = ["apt-get", "--quiet"]
        for name, value in options.items():
            apt += ["-o", f"{name}={value}"]
        run(*apt, *command, cwd=cwd)


def _release():
    """What this system is: ("debian", "bookworm"), for example."""
    release = {}
    path = Path("/etc/os-release")
    if path.exists():
        lines = path.read_text().splitlines()
        release = dict(line.split("=", 1) for line in lines if "=" in line)
    words = [*shlex.split(release.get("ID", "")), ""]
    return words[0], "".join(shlex.split(release.get("VERSION_CODENAME", "")))


def _mirror(codename):
    """The address from which this system installs its own release, and the key for it."""
    etc = Path("/etc/apt")
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for block in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"(?m)^([\w-]+):[ \t]*(.*)$", block))
            if codename in fields.get("Suites", "").split() and fields.get("URIs"):
                return fields["URIs"].split()[0], fields.get("Signed-By", "").strip()
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        if path.exists():
            pattern = rf"(?m)^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+{codename}\s"
            found = re.search(pattern, path.read_text())
            if found:
                signed = re.search(r"signed-by=(\S+)", found[1] or "")
                return found[2], signed[1] if signed else ""
    raise Missing(f"this system's package sources name no mirror for {codename}.")
