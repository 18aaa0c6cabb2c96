"""Libraries of MicroPython that PyPI has, fetched unchanged into build/libraries, once.

They are what programs on boards import, and run on smolmpy as they are. The tests themselves have
no way to the internet, so `make test` fetches them first.
"""

import re
import shutil
import subprocess
import tarfile
import urllib.request
import zipfile

from tools import venv
from tools.common import BUILD, Missing, locked, main, say

_FOLDER = BUILD / "libraries"
VERSIONS = {
    "microdot": "2.7.0",
    "micropython-umqtt.simple": "1.3.4",
    "micropython-umqtt.robust": "1.0",
    "micropython-urequests": "0.9.1",
    "micropython-mqtt": "0.7b4",
    "micropython-phew": "0.0.3",
}


def folder(name):
    """The folder that a library is imported from; Missing where it has not been fetched."""
    place = _FOLDER / f"{name}-{VERSIONS[name]}"
    if not place.exists():
        raise Missing(f"{name} has not been fetched: 'make test' does it where PyPI is in reach.")
    return place


def ensure(strict=False):
    """Fetches all of VERSIONS; what can not be had is an error if strict, and otherwise said."""
    for name in VERSIONS:
        place = _FOLDER / f"{name}-{VERSIONS[name]}"
        with locked("libraries"):
            if place.exists():
                continue
            part = _FOLDER / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            try:
                _fetch(name, part)
            except Missing as problem:
                if strict:
                    raise
                say(f"{problem} The tests that use {name} will be skipped.")
            else:
                part.rename(place)


def _fetch(name, place):
    pip = [venv.PYTHON, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--dest", place, f"{name}=={VERSIONS[name]}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    archives = [*place.glob("*.whl"), *place.glob("*.tar.gz")]
    if not archives:
        # Libraries for MicroPython only lack what pip needs to look into them; it says where the
        # archive that it has rejected is.
        address = re.search(r"https?://\S+\.tar\.gz", done.stdout + done.stderr)
        if not address:
            raise Missing(f"{name} can not be fetched: {done.stderr.strip().splitlines()[-1:]}")
        archives = [place / "source.tar.gz"]
        try:
            urllib.request.urlretrieve(address[0], archives[0])
        except OSError as problem:
            raise Missing(f"{name} can not be fetched: {problem}") from None
    if archives[0].suffix == ".whl":
        with zipfile.ZipFile(archives[0]) as archive:
            archive.extractall(place)
        return
    with tarfile.open(archives[0]) as archive:
        for member in archive.getmembers():
            path = member.name.split("/", 1)[-1]
            if member.isfile() and path.endswith(".py"):
                file = place / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(archive.extractfile(member).read())


if __name__ == "__main__":
    main(ensure)
