"""What others install: package.json for mip, manifest.py for freezing, one version."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

from tools import package
from tools.common import ROOT


def test_package_json_is_up_to_date():
    path = ROOT / "package.json"
    assert path.read_text() == package.text(), "run 'make format'"


def test_package_json_names_files_that_are_there():
    urls = json.loads((ROOT / "package.json").read_text())["urls"]
    assert ["smolmpy/__init__.py", "smolmpy/__init__.py"] in urls
    for target, source in urls:
        assert target == source
        assert (ROOT / source).is_file()


class _Manifest:
    """Carries out a manifest file and records its calls, as MicroPython's build would."""

    def __init__(self, path):
        self.calls = []
        names = {name: self._record(name) for name in ("metadata", "package", "module")}
        exec(Path(path).read_text(), names)

    def _record(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


def test_manifest_freezes_the_package():
    first, *others = _Manifest(ROOT / "manifest.py").calls
    assert first[0] == "metadata"
    assert first[2]["version"] == package.version()
    assert first[2]["license"] == "MIT"
    assert [(name, args, options["opt"]) for name, args, options in others] == [
        ("package", ("smolmpy",), 3)
    ]


def test_changes_mention_the_version():
    assert f"\n## {package.version()}" in (ROOT / "CHANGES.md").read_text()


def test_mip_installs_from_a_clone(tmp_path):
    """`mpremote mip install ./package.json`, into a folder in the place of a board's files."""
    (tmp_path / "lib").mkdir()
    mpremote = Path(sysconfig.get_path("scripts")) / "mpremote"
    script = f"""
import sys
from mpremote import mip
class Transport:
    def fs_exists(self, path): return self.at(path).exists()
    def fs_isdir(self, path): return self.at(path).is_dir()
    def fs_mkdir(self, path): self.at(path).mkdir()
    def fs_hashfile(self, path, algorithm): raise OSError
    def fs_writefile(self, path, data, progress_callback=None): self.at(path).write_bytes(data)
    def at(self, path):
        from pathlib import Path
        return Path({str(tmp_path)!r}) / path.lstrip("/")
mip._install_package(Transport(), "./package.json", None, "/lib", None, False)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert mpremote.exists() and done.returncode == 0, done.stdout + done.stderr
    for path in (ROOT / "smolmpy").rglob("*.py"):
        installed = tmp_path / "lib" / path.relative_to(ROOT)
        assert installed.read_bytes() == path.read_bytes()
