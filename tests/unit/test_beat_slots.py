"""The figures of benchmarks/beats.py rest on this."""

from __future__ import annotations

import pytest

from benchmarks.beat_messages import Message
from benchmarks.beat_slots import Slot, Table, tabulate

#: A second that is a whole minute too.
T = 1_800_000_000


def message(made: float, entry: str = "1s-0", pid: int = 1, arrived: float | None = None) -> Message:
    return Message(entry=entry, made=T + made, pid=pid, tag=f"{entry} {made}", arrived=arrived)


def table(
    *messages: Message, end: int, entries: tuple[str, ...] = ("1s-0",), away: tuple[tuple[float, float], ...] = ()
) -> Table:
    return tabulate(messages, entries, T, T + end, [(T + since, T + to) for since, to in away])


def test_tabulate__each_slot_once() -> None:
    found = table(*(message(n + 0.01) for n in range(5)), end=5)
    assert (found.sent, found.slots, found.twice, found.missing, found.gaps) == (5, 5, {}, [], [])


def test_tabulate__a_slot_sent_twice_is_named_with_its_messages() -> None:
    twice = [message(1.01), message(1.4)]
    found = table(message(0.01), *twice, message(2.01), end=3)
    assert found.twice == {Slot(entry="1s-0", begin=T + 1): twice}
    assert found.too_many == 1


def test_tabulate__a_failover_explains_what_is_missing_and_has_a_length() -> None:
    found = table(message(0.01), message(3.25), message(4.01), end=5)
    assert [slot.begin - T for slot in found.missing] == [1, 2]
    assert found.unexplained == []
    assert found.failovers == [2.25]  # what was due at 1 came at 3.25


def test_tabulate__a_slot_missing_while_others_are_sent_is_not_explained() -> None:
    others = [message(n + 0.01, "1s-1") for n in range(3)]
    found = table(*others, message(0.01), message(2.01), end=3, entries=("1s-0", "1s-1"))
    assert found.unexplained == [Slot(entry="1s-0", begin=T + 1)]
    assert found.gaps == []
    assert [each.made - T for each in found.around[found.unexplained[0]]] == pytest.approx([0.01, 2.01])


def test_tabulate__a_gap_while_the_server_is_away_counts_from_its_return() -> None:
    found = table(message(0.01), message(4.5), end=5, away=((0.5, 4.25),))
    assert found.failovers == []
    assert found.returns == [0.25]


def test_tabulate__a_gap_explains_a_slot_of_five_seconds_only_from_its_due_time_to_its_end() -> None:
    every_second = [message(n + 0.01) for n in range(20) if not 4 <= n < 10]
    entries = ("1s-0", "5s-0")
    # Last at 4.3 before its slot ends, so due at 9: the gap holds until 10.2 and covers that.
    sent = [message(4.0, "5s-0"), message(10.2, "5s-0"), message(15.2, "5s-0")]
    assert table(*every_second, message(10.2), *sent, end=20, entries=entries).unexplained == []
    # The same slot is missing while the others went on.
    going_on = [message(n + 0.01) for n in range(20)]
    found = table(*going_on, *sent, end=20, entries=entries)
    assert found.unexplained == [Slot(entry="5s-0", begin=T + 5)]


def test_tabulate__a_sending_that_a_failover_cuts_in_two_is_explained() -> None:
    # The beat that takes over begins with the first entry just before the slot ends, and comes to the second just after.
    others = [message(0.01, "1s-1"), message(2.9, "1s-1"), message(3.2, "1s-1")]
    found = table(*others, message(0.02), message(3.01), end=4, entries=("1s-0", "1s-1"))
    assert Slot(entry="1s-0", begin=T + 2) in found.missing
    assert found.unexplained == []


def test_tabulate__a_failover_in_the_middle_of_a_second_s_entries_explains_the_others() -> None:
    others = [message(0.01, "1s-1"), message(1.01, "1s-1"), message(2.68, "1s-1")]
    found = table(*others, message(0.02), message(2.69), end=3, entries=("1s-0", "1s-1"))
    assert found.missing == [Slot(entry="1s-0", begin=T + 1)]
    assert found.unexplained == []
    assert found.failovers == pytest.approx([0.68])


def test_tabulate__one_of_two_messages_at_the_edge_of_an_empty_slot_belongs_to_that_one() -> None:
    found = table(message(0.01), message(2.004), message(2.3), message(3.01), end=4)
    assert (found.twice, found.missing) == ({}, [])
    found = table(message(0.3), message(0.96), message(2.01), end=3)
    assert (found.twice, found.missing) == ({}, [])


def test_tabulate__two_processes_in_one_slot_are_twice_also_at_the_edge_of_an_empty_one() -> None:
    found = table(message(0.01), message(2.004, pid=1), message(2.3, pid=2), message(3.01), end=4)
    assert list(found.twice) == [Slot(entry="1s-0", begin=T + 2)]
    assert [slot.begin - T for slot in found.missing] == [1]


def test_tabulate__two_messages_at_the_edge_of_a_slot_that_was_sent_are_twice() -> None:
    found = table(message(0.01), message(1.01), message(2.004), message(2.3), end=3)
    assert list(found.twice) == [Slot(entry="1s-0", begin=T + 2)]


def test_tabulate__a_message_that_comes_long_after_it_was_made_is_late_unless_the_server_was_away() -> None:
    late = message(1.01, arrived=T + 4.0)
    assert table(message(0.01), late, end=2).late == [late]
    assert table(message(0.01), late, end=2, away=((0.9, 3.9),)).late == []


def test_tabulate__what_is_never_sent_is_missing() -> None:
    found = table(end=3)
    assert len(found.missing) == 3
    assert found.unexplained == []
    assert found.failovers == [3.0]


def test_tabulate__an_entry_of_one_version_may_be_missing_but_not_sent_twice() -> None:
    messages = [message(n + 0.01) for n in range(3)] + [message(1.01, "1s-old"), message(1.02, "1s-old", pid=2)]
    found = tabulate(messages, ["1s-0"], T, T + 3, [], ["1s-old"])
    assert found.missing == []
    assert list(found.twice) == [Slot(entry="1s-old", begin=T + 1)]
