from __future__ import annotations

import pytest

from tasktools.arguments.names import close_matches, resolve, short_names, shown, shown_path
from tasktools.exceptions import TaskNameError

NAMES = {"project.demo.tasks.add", "project.shop.tasks.add", "project.shop.tasks.order", "elsewhere.total"}


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("project.demo.tasks.add", "project.demo.tasks.add"),
        ("order", "project.shop.tasks.order"),
        ("tasks.order", "project.shop.tasks.order"),
        ("demo.add", "project.demo.tasks.add"),
        ("demo.tasks.add", "project.demo.tasks.add"),
        ("project.shop.add", "project.shop.tasks.add"),
        ("total", "elsewhere.total"),
    ],
)
def test_resolve__any_unique_ending(typed: str, name: str) -> None:
    assert resolve(typed, NAMES) == name


def test_resolve__a_full_name_stands_for_itself_even_where_another_ends_with_it() -> None:
    assert resolve("total", {"total", "elsewhere.total"}) == "total"


def test_resolve__an_ending_as_typed_goes_before_parts_with_others_between() -> None:
    assert resolve("b.add", {"a.b.add", "b.x.add"}) == "a.b.add"


def test_resolve__ambiguous_lists_the_candidates() -> None:
    with pytest.raises(TaskNameError) as caught:
        resolve("add", NAMES)
    assert caught.value.sentence == '"add" can mean 2 tasks.'
    assert caught.value.hint == "type one of: project.demo.tasks.add, project.shop.tasks.add"
    assert caught.value.exit_code == 2


def test_resolve__ambiguous_lists_ten_candidates_and_counts_the_rest() -> None:
    names = {f"app{number:02}.tasks.add" for number in range(12)}
    with pytest.raises(TaskNameError) as caught:
        resolve("add", names)
    assert caught.value.sentence == '"add" can mean 12 tasks.'
    listed = ", ".join(sorted(names)[:10])
    assert caught.value.hint == f"type one of: {listed} and 2 more (manage.py showtasks)"


@pytest.mark.parametrize("typed", ["tasks.demo.add", "add.tasks", "dd", "project", "", ".", ".add", "ADD"])
def test_resolve__what_matches_no_ending_is_unknown(typed: str) -> None:
    with pytest.raises(TaskNameError) as caught:
        resolve(typed, NAMES)
    assert caught.value.sentence == f'No task is called "{typed}".'


def test_resolve__a_slip_is_answered_with_what_was_meant() -> None:
    with pytest.raises(TaskNameError) as caught:
        resolve("totel", NAMES)
    assert caught.value.sentence == 'No task is called "totel".'
    assert caught.value.hint == "did you mean elsewhere.total?"


def test_resolve__a_slip_with_two_meanings_is_answered_with_both() -> None:
    with pytest.raises(TaskNameError) as caught:
        resolve("ordre", {"shop.order", "shop.orders"})
    assert caught.value.hint == "did you mean shop.order or shop.orders?"


def test_resolve__a_far_name_is_answered_with_the_registered_ones() -> None:
    with pytest.raises(TaskNameError) as caught:
        resolve("xyzzy", NAMES)
    assert caught.value.hint == f"these are registered: {', '.join(sorted(NAMES))}"


def test_resolve__without_any_task_the_hint_says_how_to_write_one() -> None:
    with pytest.raises(TaskNameError) as caught:
        resolve("add", set())
    assert caught.value.hint == (
        "this project registers no task; write one with @shared_task in the tasks.py of an installed app"
    )


def test_resolve__a_very_long_name_is_cut_in_the_sentence() -> None:
    with pytest.raises(TaskNameError) as caught:
        resolve("x" * 10_000, NAMES)
    assert caught.value.sentence == f'No task is called "{"x" * 80}…".'


def test_short_names__each_is_the_shortest_ending_that_stands_for_it_alone() -> None:
    assert short_names(NAMES) == {
        "project.demo.tasks.add": "demo.tasks.add",
        "project.shop.tasks.add": "shop.tasks.add",
        "project.shop.tasks.order": "order",
        "elsewhere.total": "total",
    }


def test_short_names__a_name_that_ends_another_keeps_the_short_form() -> None:
    assert short_names({"total", "elsewhere.total"}) == {"total": "total", "elsewhere.total": "elsewhere.total"}


def test_short_names__each_resolves_to_its_name() -> None:
    names = NAMES | {"a.b.add", "b.a.add", "add", "x.y.z.order"}
    assert {resolve(short, names): short for short in short_names(names).values()} == short_names(names)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("plain", "plain"),
        ("grün ✓", "grün ✓"),
        ("a\nb\tc\0", "a\\nb\\tc\\x00"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\udcff", "\\udcff"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 80 + "…"),
    ],
)
def test_shown__fits_one_line(text: str, printed: str) -> None:
    assert shown(text) == printed


def test_shown__the_limit_is_the_callers() -> None:
    assert shown("abcdef", 3) == "abc…"


def test_close_matches__at_most_three_and_each_once() -> None:
    names = ["shop.order1", "shop.order2", "shop.order3", "shop.order4"]
    found = close_matches("shop.order", names)
    assert len(found) == len(set(found)) == 3
    assert set(found) < set(names)


def test_close_matches__the_last_part_alone_is_enough() -> None:
    assert close_matches("ordr", ["a.very.long.way.down.to.order", "a.b"]) == ["a.very.long.way.down.to.order"]


def test_close_matches__nothing_is_close_to_something_else() -> None:
    assert close_matches("xyzzy", sorted(NAMES)) == []


def test_shown_path__is_whole_and_without_what_a_terminal_obeys() -> None:
    assert shown_path("/a/very/long/way" * 15 + "\x1b/file") == "/a/very/long/way" * 15 + "\\x1b/file"
    assert len(shown_path("x" * 5000)) == 301
