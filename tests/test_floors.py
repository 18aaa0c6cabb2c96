"""The floors of the package: an import goes down, or stays on its floor, and nowhere else."""

import re
import subprocess
import sys

import pytest

from tools.common import ROOT
from tools.floors import BESIDE, DOORS, FLOORS, LEAVES, imports, sources, upward


def test_imports_go_down():
    modules = sources()
    assert {name.split(".")[0] for name in modules} == {*FLOORS, *BESIDE, *LEAVES, *DOORS}
    assert not upward(modules)


def test_the_stack_knows_no_device():
    for module, text in sources().items():
        if not module.startswith("phy."):
            assert not [to for to in imports(text, module) if to.startswith("phy")], module


@pytest.mark.parametrize(
    "module, text, other",
    [
        ("ip.route", "from ..iface.poll import poll", "iface.poll"),
        ("ip.route", "from smolmpy.tcp.input import examine", "tcp.input"),
        ("link.arp", "def f():\n    from ..ip import ipv4", "ip.ipv4"),
        ("core.state", "from smolmpy import tcp", "tcp"),
        ("core.state", "import smolmpy.link.arp", "link.arp"),
        ("tcp.input", '__import__("smolmpy.compat.pool")', "compat.pool"),
        ("sockets.udp", "from ..phy import tap", "phy.tap"),
        ("phy.tap", "from ..core.state import make", "core.state"),
        ("net", "from .errno import EAGAIN", "errno"),
    ],
)
def test_an_arrow_up_is_seen(module, text, other):
    assert [found for _, found in upward({module: text})] == [other]


def test_what_goes_down_is_fine():
    text = "from ..core import state, demux\nfrom . import route\nfrom ..errno import EAGAIN\n"
    assert not upward({"ip.ipv4": text + "import micropython\nfrom array import array\n"})


def test_the_ways_and_drawings_are_what_the_code_does():
    done = subprocess.run(
        [sys.executable, "-m", "tools.ways", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_hop_of_the_page_exists():
    page = (ROOT / "docs" / "architecture.md").read_text()
    links = re.findall(r"\(\.\./(smolmpy/[\w/]+\.py)\)((?: `\w+`)+)", page)
    assert len(links) > 50
    for path, names in links:
        for name in re.findall(r"\w+", names):
            assert f"def {name}(" in (ROOT / path).read_text(), (path, name)
