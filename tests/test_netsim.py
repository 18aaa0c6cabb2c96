"""The network simulation: that it does what it says, and TCP's bar in some of its cells."""

import subprocess
import sys

import pytest

import targets
from tools import netsim, netsim_run
from tools.common import ROOT

MIB = 1 << 20


@pytest.fixture(scope="module")
def simulate(need):
    """`simulate(*scenarios)`: their results, simulated under MicroPython."""
    need(targets.get, "unix64")
    return lambda *scenarios: netsim_run.run(scenarios)


def scenario(loss=0, **fields):
    fields.setdefault("options", netsim.PLAIN)
    return netsim.lossy(loss, **fields)


def test_no_cell_is_below_smoltcp(need):
    need(targets.get, "unix64")
    found = netsim.compare(2 * MIB, 1, (256, 2048, 16384, 32768), (0, 0.1, 2, 20))
    assert len(found) == 16
    assert netsim.below(found) == []


def test_below_names_the_slow_cells():
    found = {(128, 0): 1279.97, (128, 30): 7.18, (32768, 5): 76626.49}
    assert netsim.below(found) == [(128, 0)]


def test_a_seed_repeats_exactly(simulate):
    one = scenario(5, buffer=8192, bytes=MIB, seed=3)
    first, again, other = simulate(one, one, dict(one, seed=4))
    assert first == again
    assert first["lost"][0] > 10
    assert first != other


@pytest.mark.parametrize("target", ["unix32", "bytecode", "cpython"], indirect=True)
def test_every_interpreter_has_the_same_result(simulate, target):
    text = {
        "options": {"congestion": "cubic"},
        "buffer": 16384,
        "bytes": 200000,
        "flows": 2,
        "forward": {"rate": 5000, "queue": 16384, "loss": 10000, "reorder": 20000, "late": 5},
        "back": {"loss": 10000, "duplicate": 10000, "outage": [300, 400, 0]},
    }
    (expected,) = simulate(text)
    program = target.interpreter.path if target.interpreter else sys.executable
    assert netsim_run.run([text], ([str(program)], target.environment())) == [expected]


def test_the_line_limits_what_passes(simulate):
    """Without loss: by the window for each round trip, and by the rate of the bottleneck."""
    by_window, by_rate = simulate(
        scenario(buffer=1000, bytes=100000),
        {
            "options": {"congestion": "none"},
            "buffer": 65535,
            "bytes": MIB,
            "forward": {"rate": 1000},
        },
    )
    # 100 windows of a round trip each, of which the last is not waited for, and one to connect.
    assert by_window["us"] / 1e6 == pytest.approx(100 * 0.1, abs=0.2)
    frames = by_rate["frames"][0]
    bits = (MIB + frames * 54) * 8
    assert by_rate["us"] / 1e6 == pytest.approx(bits / 1e6, rel=0.05)


def test_the_line_makes_the_faults_that_are_asked_for(simulate):
    lossy, short, out, swapped, doubled = simulate(
        scenario(10, buffer=4096, bytes=MIB),
        {"buffer": 65535, "bytes": MIB, "forward": {"rate": 10000, "queue": 10000}},
        {"buffer": 4096, "bytes": 100000, "forward": {"outage": [1000, 500, 0]}},
        {"buffer": 65535, "bytes": MIB, "forward": {"reorder": 100000, "late": 30}},
        {"buffer": 65535, "bytes": MIB, "forward": {"duplicate": 100000}},
    )
    for way in (0, 1):
        assert 0.07 < lossy["lost"][way] / lossy["frames"][way] < 0.13
    assert short["dropped"][0] > 3
    assert 1 <= out["lost"][0] < 20
    assert out["lost"][1] == 0
    assert swapped["out_of_order"] > 50
    assert doubled["received"] - doubled["frames"][0] > 50


def test_a_round_trip_that_changes_is_learned(need):
    need(targets.get, "unix64")
    found = netsim.jumps()
    assert netsim.needless(found) == []
    for (line, mode), (_, bulk, _) in found.items():
        assert bulk > 100000, (line, mode)
    assert netsim.needless({("line", "mode"): (400, 1.0, 0)}) == [("line", "mode")]


def test_flows_share(simulate):
    """Reno's flows come to equal shares of a bottleneck; its queue loses little."""
    (result,) = simulate(
        {
            "options": {"congestion": "reno"},
            "flows": 4,
            "buffer": 65535,
            "bytes": 1 << 29,
            "time": 30000,
            "forward": {"rate": 10000, "queue": 65536},
        }
    )
    assert netsim_run.fairness(result) > 0.9
    assert netsim_run.throughput(result) > 0.7 * 10e6 / 8
    assert result["dropped"][0] < 0.05 * result["frames"][0]


def test_fairness_of_unequal_flows():
    flows = [{"bytes": size, "us": 1000} for size in (300, 100)]
    assert netsim_run.fairness({"flows": flows}) == pytest.approx(400**2 / (2 * 100000))
    assert netsim_run.throughput({"flows": flows, "us": 2000}) == 200000


def test_a_mistake_in_a_scenario_is_reported(simulate):
    with pytest.raises(AssertionError, match="lose"):
        simulate({"lose": 1})
    with pytest.raises(AssertionError, match="congest"):
        simulate({"options": {"congest": "none"}})


def test_status_tells_whether_the_bar_is_met(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["netsim", "--quick", "--check"])
    for rate, status in ((1, 1), (10**6, None)):
        monkeypatch.setattr(netsim, "compare", lambda *_, rate=rate: {(128, 5): rate})
        assert netsim._main() == status
    assert "128, loss 5 %" in capsys.readouterr().out


def test_page_holds_a_place_for_each_table():
    page = (ROOT / "docs" / "netsim.md").read_text()
    for name in ("compare", "modes", "conditions", "jumps", "flows"):
        changed = netsim._put(page, name, "| new |")
        assert changed.count("| new |") == 1


def test_help_runs_without_anything_built():
    argv = [sys.executable, "-m", "tools.netsim", "--help"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert "--check" in done.stdout
