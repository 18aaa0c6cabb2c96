"""The counted instructions against the budget, and the check itself."""

import pytest

from tools import bench, bench_check, bench_counted, bench_docs


@pytest.fixture(scope="module")
def image(need):
    return need(bench_counted.build, True)


@pytest.fixture(scope="module")
def measured(image):
    return bench_counted.measure(image)


@pytest.mark.parametrize("part", bench_check.PARTS)
def test_instructions_are_within_the_budget(measured, part):
    budget = bench_check.load()
    worse, _ = bench_check.compare(
        {name: measured[name] if name == part else {} for name in bench_check.PARTS},
        {part: budget[part]},
    )
    assert not worse, "'make bench-check UPDATE=1' changes the budget"


@pytest.mark.parametrize("name", ["tcp_echo_64", "tcp_sink_1460", "tcp_handshake"])
def test_counts_repeat(image, measured, name):
    again = bench_counted.count(image, name)
    assert again[name][0] == measured["memory"][name]


def test_every_second_segment_is_acknowledged(measured):
    """RFC 9293 section 3.8.6.3; and a segment of ours carries its acknowledgement with it."""
    sent = measured["sent"]
    assert sent["tcp_sink_1460"] == 0.5
    assert sent["tcp_echo_64"] == 1
    assert sent["tcp_source_1460"] == 1
    assert sent["udp_echo_64"] == 1


def test_operations_take_no_heap(measured):
    taken = measured["allocated"]
    assert [name for name in taken if taken[name]] == []


_BUDGET = {"memory": {"a": 1000, "b": 1000}, "driver": {"a": 2000}, "kernels": {}}


def _compare(memory, driver=2000):
    measured = {"memory": memory, "driver": {"a": driver}, "kernels": {}}
    return bench_check.compare(measured, _BUDGET)


def test_check_allows_three_percent():
    assert _compare({"a": 1030, "b": 970}) == ([], [])


def test_check_finds_what_is_worse_and_what_is_better():
    worse, better = _compare({"a": 1031, "b": 969})
    assert worse == ["memory a: 1031, budget 1000 (+3.1%)"]
    assert better == ["memory b: 969, budget 1000 (-3.1%)"]


def test_check_finds_what_is_missing():
    assert len(_compare({"a": 1000})[0]) == 1
    assert len(_compare({"a": 1000, "b": 1000, "c": 1})[0]) == 1
    assert len(_compare({"a": 1000, "b": 1000}, driver=3000)[0]) == 1
    budget = {**_BUDGET, "chips": {"x": 10}}
    measured = {"memory": {"a": 1000, "b": 1000}, "driver": {"a": 2000}}
    assert bench_check.compare(measured, budget)[0] == ["chips x: in the budget, but not measured"]


def _result():
    counted = {
        "memory": dict.fromkeys([*bench.OPERATIONS, *bench.GROWTH], 5000.0),
        "driver": {},
        "kernels": {f"{e}_{name}": 100.0 for e in bench.EDITIONS for name in bench.KERNELS},
        "chips": {f"{chip}_{case}": 3100.0 for chip in bench.CHIPS for case in bench.DRIVERS},
        "allocated": {},
        "interpreter": "MicroPython",
        "target": "a board",
    }
    row = {"smolmpy": 60.0, "floor": 100.0, "kernel": 90.0}
    unix = {"interpreter": "MicroPython", "results": dict.fromkeys(bench.UNIX, row)}
    return {"commit": "0123456789abcdef", "date": "today", "counted": counted, "unix": unix}


def test_tables_mark_the_targets_that_are_not_met():
    tables = bench.tables(_result())
    targets = {row[0]: row[2] for row in tables["counted"][1][1:]}
    for what, target, _ in bench.OPERATIONS.values():
        assert targets[what].endswith("!") == (target is not None and target < 5000), what
    chips = {row[0]: row[3::2] for row in tables["chips"][1][1:]}
    for what, *targets in bench.DRIVERS.values():
        for text, target in zip(chips[what], targets, strict=True):
            assert text.endswith("!") == (target is not None and target < 3100), what
    ratios = {row[0]: row[5:7] for row in tables["unix"][1][1:]}
    for what, target, _ in bench.UNIX.values():
        assert ratios[what][0] == "0.60"
        assert ratios[what][1].endswith("!") == (target > 0.6), what


def test_page_gets_new_figures_in_place_of_old_ones():
    text = bench_docs.PAGE.read_text()
    once = bench_docs.page(text, _result())
    assert "| ARP request answered | 5,000 | 2,700 ! | 910 |  |" in once
    assert "0123456789, today" in once
    assert bench_docs.page(once, _result()) == once
    later = _result()
    later["counted"]["memory"]["arp"] = 2000.0
    twice = bench_docs.page(once, later)
    assert "| ARP request answered | 2,000 | 2,700 | 910 |  |" in twice
    assert len(twice.splitlines()) == len(once.splitlines())
