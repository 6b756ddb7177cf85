from __future__ import annotations

from typing import Any

from tasktools.events.attempts import LONGEST_NAME
from tasktools.events.nodes import GONE, MOST_WORKERS, Nodes


def beat(processed: Any, name: str = "w", kind: str = "worker-heartbeat") -> dict[str, Any]:
    return {"type": kind, "hostname": name, "active": 1, "processed": processed}


def test_nodes__a_worker_is_new_once_and_when_it_starts_again() -> None:
    nodes = Nodes()
    kinds = ["worker-heartbeat", "worker-heartbeat", "worker-offline", "worker-online", "worker-heartbeat"]
    assert [nodes.notice(beat(0, kind=kind), 0.0) is not None for kind in kinds] == [True, False, False, True, False]


def test_nodes__clients_and_other_events_are_no_workers() -> None:
    nodes = Nodes()
    for kind in ("task-sent", "watcher-leaves", "custom"):
        assert nodes.notice({"type": kind, "hostname": "client"}, 0.0) is None
    assert nodes.notice({"type": "worker-online", "hostname": 7}, 0.0) is None
    assert nodes.known == {}


def test_nodes__one_that_runs_tasks_without_events_is_silent() -> None:
    nodes = Nodes()
    for processed in (5, 5, 6, 9):
        nodes.notice(beat(processed), 0.0)
    assert nodes.known["w"].silent == 2
    nodes.notice({"type": "task-started", "hostname": "w"}, 0.0)
    nodes.notice(beat(10), 0.0)
    assert nodes.known["w"].silent == 0


def test_nodes__one_that_starts_again_begins_anew() -> None:
    nodes = Nodes()
    for processed in (5, 6):
        nodes.notice(beat(processed), 0.0)
    assert nodes.known["w"].silent == 1
    nodes.notice(beat(0, kind="worker-online"), 0.0)
    nodes.notice(beat(9), 0.0)
    assert (nodes.known["w"].silent, nodes.known["w"].sends) == (0, False)
    nodes.notice(beat(10), 0.0)
    assert (nodes.known["w"].silent, nodes.known["w"].active, nodes.known["w"].processed) == (1, 1, 10)


def test_nodes__one_that_is_first_heard_when_it_stops_is_not_new() -> None:
    nodes = Nodes()
    assert nodes.notice(beat(0, kind="worker-offline"), 0.0) is None
    assert not nodes.known["w"].is_online


def test_nodes__a_name_that_is_too_long_is_none() -> None:
    nodes = Nodes()
    names = ["x" * LONGEST_NAME, "x" * (LONGEST_NAME + 1)]
    assert [nodes.notice(beat(1, name), 0.0) is not None for name in names] == [True, False]
    assert [*nodes.known] == names[:1]


def test_nodes__what_is_gone_is_forgotten() -> None:
    nodes = Nodes()
    nodes.notice(beat(1, "old"), 0.0)
    nodes.notice(beat(1, "b"), GONE)
    nodes.notice(beat(1, "a"), GONE)
    nodes.notice(beat(1, "off"), GONE)
    nodes.notice(beat(1, "off", "worker-offline"), GONE)
    assert [node.name for node in nodes.forget(GONE)] == ["a", "b"]


def test_nodes__are_bounded() -> None:
    nodes = Nodes()
    for number in range(MOST_WORKERS + 5):
        nodes.notice(beat(1, f"w{number}"), 0.0)
    nodes.notice(beat(1, "x" * 1_000_000), 0.0)
    assert len(nodes.known) == MOST_WORKERS


def test_nodes__odd_numbers_are_not_known() -> None:
    nodes = Nodes()
    nodes.notice(beat("many") | {"active": None}, 0.0)
    assert (nodes.known["w"].active, nodes.known["w"].processed) == (None, None)
