from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tasktools.health import exposition
from tasktools.health.gauge import Gauge, one
from tasktools.health.tally import BOUNDS, UNKNOWN, Tally
from tests.hostile import HOSTILE


def parsed(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return each number by its name and its labels."""
    families = text_string_to_metric_families(text.decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


@pytest.fixture
def tally() -> Tally:
    return Tally({"shop.add"})


def test_tally__counts_by_name_and_state(tally: Tally) -> None:
    for name, state in (("shop.add", "failed"), ("shop.add", "failed"), ("shop.add", "received")):
        tally.count(name, state)
    found = parsed(exposition.text([], tally))
    assert found["tasktools_tasks_total", (("state", "failed"), ("task", "shop.add"))] == 2
    assert found["tasktools_tasks_total", (("state", "received"), ("task", "shop.add"))] == 1


@pytest.mark.parametrize("name", ["nobody.knows", None, 7, ["x"], HOSTILE])
def test_tally__names_that_nobody_knows_are_one(tally: Tally, name: object) -> None:
    for number in range(100):
        tally.count(f"{name}{number}", "unregistered")
    tally.count(name, "unregistered")
    assert tally.states == {(UNKNOWN, "unregistered"): 101}


def test_histogram__has_the_values_up_to_each_bound(tally: Tally) -> None:
    for seconds in (0.005, 0.006, 1.0, 7200.0, -1.0):
        tally.ran("shop.add", seconds)
    found = parsed(exposition.text([], tally))
    task = ("task", "shop.add")
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in found.items()
        if name.endswith("running_seconds_bucket")
    }
    assert buckets[0.005] == 2
    assert (buckets[0.025], buckets[0.5], buckets[1.0], buckets[3600.0], buckets[math.inf]) == (3, 3, 4, 4, 5)
    assert len(buckets) == len(BOUNDS) + 1
    assert found["tasktools_task_running_seconds_count", (task,)] == 5
    assert found["tasktools_task_running_seconds_sum", (task,)] == pytest.approx(7201.011)
    assert not any(name.startswith("tasktools_task_waiting_seconds") for name, _ in found)


def test_copies__do_not_change(tally: Tally) -> None:
    tally.waited("shop.add", 1)
    _, _, before = tally.copies()
    tally.waited("shop.add", 1)
    assert (before["shop.add"].total, tally.waiting["shop.add"].total) == (1, 2)


def test_gauges__with_and_without_a_label() -> None:
    gauges = [
        one("tasktools_up", "How long.", 1.5),
        one("tasktools_none", "Nobody knows.", None),
        one("tasktools_restarts", "How often.", 3, is_counter=True),
        Gauge("tasktools_queue_messages", "How many.", {"celery": 2, HOSTILE: 1}, "queue"),
    ]
    text = exposition.text(gauges)
    found = parsed(text)
    assert found["tasktools_up", ()] == 1.5
    assert found["tasktools_restarts_total", ()] == 3
    assert found["tasktools_queue_messages", (("queue", "celery"),)] == 2
    assert len(found) == 4
    assert b"# TYPE tasktools_restarts_total counter" in text
    assert b"tasktools_none" not in text
