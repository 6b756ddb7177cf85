from __future__ import annotations

from typing import Any

import pytest

from tasktools.results import tree as module
from tasktools.results.outcome import Outcome
from tasktools.results.tree import Tree, tree_of


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By the id of a task: its children as Celery writes them, and its parent."""
    made: dict[str, Any] = {}

    def look(app: Any, ids: Any) -> list[Outcome]:
        return [
            Outcome(
                id=each,
                state="SUCCESS" if each in made else "PENDING",
                children=made.get(each, {}).get("children"),
                parent=made.get(each, {}).get("parent"),
            )
            for each in ids
        ]

    monkeypatch.setattr(module, "look_at_all", look)
    return made


APP: Any = None


def task(task_id: str, parent: Any = None) -> Any:
    """A child as AsyncResult.as_tuple has it."""
    return [[task_id, parent], None]


def group(group_id: str, *members: Any) -> Any:
    """A group as GroupResult.as_tuple has it."""
    return [[group_id, None], list(members)]


def drawn(tree: Tree) -> list[str]:
    return [f"{'.' * level}{node.id}" for level, node in tree.lines()]


def of(*ids: str) -> list[str]:
    return drawn(tree_of(APP, ids))


def test_tree__of_a_task_alone(family: dict[str, Any]) -> None:
    family["a"] = {}
    assert of("a") == ["a"]


def test_tree__of_a_chain_goes_up_to_its_beginning(family: dict[str, Any]) -> None:
    family.update(a={"children": [task("b")]}, b={"children": [task("c")], "parent": "a"}, c={"parent": "b"})
    assert of("a") == of("b") == of("c") == ["a", ".b", "..c"]
    [asked] = [node for _, node in tree_of(APP, ["c"]).lines() if node.is_asked]
    assert asked.id == "c"


def test_tree__of_a_group_in_a_task(family: dict[str, Any]) -> None:
    family.update(a={"children": [group("g", task("b"), group("h", task("c"))), task("d")]})
    tree = tree_of(APP, ["a"])
    assert drawn(tree) == ["a", ".g", "..b", "..h", "...c", ".d"]
    assert tree.states() == {"SUCCESS": 1, "PENDING": 3}
    assert [node.outcome is None for _, node in tree.lines()] == [False, True, False, True, False, False]


def test_tree__of_a_chord_has_the_header_before_the_body(family: dict[str, Any]) -> None:
    family.update(a={"children": [task("body", parent=group("header", task("b"), task("c")))]})
    assert of("a") == ["a", ".header", "..b", "..c", ".body"]


def test_tree__one_that_its_caller_does_not_have_yet_is_shown_too(family: dict[str, Any]) -> None:
    """A result has its children when its task is over."""
    family["b"] = {"parent": "a"}
    assert of("b") == ["a", "b"]


def test_tree__of_a_result_that_comes_during_the_look(family: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """At the look for the root nobody knows yet who has called it."""
    family["a"] = {"children": [task("b")]}
    looks, look = 0, module.look_at_all

    def later(app: Any, ids: Any) -> list[Outcome]:
        nonlocal looks
        looks += 1
        if looks == 2:
            family["b"] = {"parent": "a"}
        return look(app, ids)

    monkeypatch.setattr(module, "look_at_all", later)
    assert of("b") == ["a", ".b"]


def test_tree__cycles_end(family: dict[str, Any]) -> None:
    family.update(a={"children": [task("b")], "parent": "b"}, b={"children": [task("a")], "parent": "a"})
    assert sorted(of("a")) in ([".b", "a"], [".a", "b"])


@pytest.mark.parametrize(
    "odd",
    ["text", 5, {"a": 1}, [None], [[]], [[[]]], [[[5, None], None]], [["", None]], [[["", [["", None], None]], None]]],
)
def test_tree__children_of_another_form_are_left_out(family: dict[str, Any], odd: Any) -> None:
    family["a"] = {"children": odd}
    assert of("a") == ["a"]


def test_tree__endless_parents_end(family: dict[str, Any]) -> None:
    entry: Any = [["x", None], None]
    for _ in range(5000):
        entry = [["", entry], None]
    family["a"] = {"children": [entry]}
    assert of("a")[0] == "a"


def test_tree__is_cut(family: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    family["a"] = {"children": [task(each) for each in "bcdefg"]}
    tree = tree_of(APP, ["a"])
    assert (drawn(tree), tree.is_cut) == (["a", ".b", ".c", ".d"], True)


def test_tree__deep_one_is_cut(family: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 3)
    for number in range(9):
        family[str(number)] = {"children": [task(str(number + 1))]}
    tree = tree_of(APP, ["0"])
    assert (drawn(tree), tree.is_cut) == (["0", ".1", "..2", "...3"][: len(drawn(tree))], True)
