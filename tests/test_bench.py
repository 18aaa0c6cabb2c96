"""The counted instructions against the budget, and the check itself."""

import pytest

from tools import bench_check, bench_counted


@pytest.fixture(scope="module")
def measured(need):
    return bench_counted.measure(need(bench_counted.build))


@pytest.mark.parametrize("part", bench_check.PARTS)
def test_instructions_are_within_the_budget(measured, part):
    budget = bench_check.load()
    worse, _ = bench_check.compare(
        {name: measured[name] if name == part else {} for name in bench_check.PARTS},
        {part: budget[part]},
    )
    assert not worse, "'make bench-check UPDATE=1' changes the budget"


def test_counts_repeat(measured):
    image = bench_counted.build()
    again = bench_counted.count(image, "tcp_echo_64")
    assert again["tcp_echo_64"][0] == measured["memory"]["tcp_echo_64"]


def test_every_second_segment_is_acknowledged(measured):
    """RFC 9293 section 3.8.6.3; and a segment of ours carries its acknowledgement with it."""
    sent = measured["sent"]
    assert 0.25 <= sent["tcp_sink_1460"] <= 1
    assert sent["tcp_echo_64"] == 1
    assert sent["tcp_source_1460"] == 1
    assert sent["udp_echo_64"] == 1


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
