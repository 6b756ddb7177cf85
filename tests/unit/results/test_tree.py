from __future__ import annotations

from typing import Any

import pytest

from tasktools.results import tree as module
from tasktools.results.outcome import Outcome
from tasktools.results.tree import Tree, tree_of


class Family(dict[str, Any]):
    """By the id of a task: its children as Celery writes them, and its parent."""

    #: How often somebody has looked.
    looks = 0


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Family:
    made = Family()

    def look(app: Any, ids: Any) -> list[Outcome]:
        made.looks += 1
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


def test_tree__of_a_task_alone(family: Family) -> None:
    family["a"] = {}
    assert of("a") == ["a"]
    assert family.looks == 2  # for the root, and at it


def test_tree__of_two_tasks(family: Family) -> None:
    family.update(a={"children": [task("b")]}, x={"children": [task("y")]}, b={"parent": "a"}, y={"parent": "x"})
    tree = tree_of(APP, ["b", "x"])
    assert (drawn(tree), tree.is_cut) == (["a", ".b", "x", ".y"], False)


def test_tree__of_a_chain_goes_up_to_its_beginning(family: Family) -> None:
    family.update(a={"children": [task("b")]}, b={"children": [task("c")], "parent": "a"}, c={"parent": "b"})
    assert of("a") == of("b") == of("c") == ["a", ".b", "..c"]
    [asked] = [node for _, node in tree_of(APP, ["c"]).lines() if node.is_asked]
    assert asked.id == "c"


def test_tree__of_a_group_in_a_task(family: Family) -> None:
    family.update(a={"children": [group("g", task("b"), group("h", task("c"))), task("d")]})
    tree = tree_of(APP, ["a"])
    assert drawn(tree) == ["a", ".g", "..b", "..h", "...c", ".d"]
    assert tree.states() == {"SUCCESS": 1, "PENDING": 3}
    assert [node.outcome is None for _, node in tree.lines()] == [False, True, False, True, False, False]


def test_tree__of_a_chord_has_the_header_before_the_body(family: Family) -> None:
    family.update(a={"children": [task("body", parent=group("header", task("b"), task("c")))]})
    assert of("a") == ["a", ".header", "..b", "..c", ".body"]


def test_tree__one_that_its_caller_does_not_have_yet_is_shown_too(family: Family) -> None:
    """A result has its children when its task is over."""
    family["b"] = {"parent": "a"}
    assert of("b") == ["a", "b"]
    assert family.looks == 4  # another look would show the same


def test_tree__of_a_result_that_comes_during_the_look(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_tree__cycles_end(family: Family) -> None:
    family.update(a={"children": [task("b")], "parent": "b"}, b={"children": [task("a")], "parent": "a"})
    assert sorted(of("a")) in ([".b", "a"], [".a", "b"])
    assert family.looks < 10
    family["c"] = {"parent": "b"}
    family.looks = 0
    assert "c" in of("c")
    assert family.looks < 20


@pytest.mark.parametrize(
    "odd",
    ["text", 5, {"a": 1}, [None], [[]], [[[]]], [[[5, None], None]], [["", None]], [[["", [["", None], None]], None]]],
)
def test_tree__children_of_another_form_are_left_out(family: Family, odd: Any) -> None:
    family["a"] = {"children": odd}
    assert of("a") == ["a"]


@pytest.mark.parametrize("entry", [["b", None], [["b"], None], [["b", None], 5], ["b"], [["b", None]]])
def test_tree__a_child_in_a_shorter_form(family: Family, entry: Any) -> None:
    family["a"] = {"children": [entry]}
    assert of("a") == ["a", ".b"]


def test_tree__of_a_long_chain_that_a_task_has_called(family: Family) -> None:
    """The last one has all before it as its parents, one in the other."""
    entry: Any = None
    for number in range(2_000):
        entry = [[str(number), entry], None]
    family["a"] = {"children": [entry]}
    assert of("a") == ["a", *(f".{number}" for number in range(2_000))]


def test_tree__of_a_chord_in_a_group(family: Family) -> None:
    family.update(a={"children": [group("g", task("body", parent=group("header", task("b"))))]})
    assert of("a") == ["a", ".g", "..header", "...b", "..body"]


@pytest.mark.usefixtures("no_hang")
@pytest.mark.parametrize("deepest", [task("b"), task("b", parent=task("c")), group("g4", task("b"))])
def test_tree__groups_in_groups_are_cut(family: Family, monkeypatch: pytest.MonkeyPatch, deepest: Any) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 3)
    entry: Any = deepest
    for number in reversed(range(4)):
        entry = group(f"g{number}", entry)
    family["a"] = {"children": [entry]}
    assert of("a") == ["a", ".g0", "..g1", "...g2", "....g3"]


def test_tree__endless_parents_end(family: Family) -> None:
    entry: Any = [["x", None], None]
    for _ in range(5000):
        entry = [["", entry], None]
    family["a"] = {"children": [entry]}
    assert of("a")[0] == "a"


def test_tree__is_cut(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    family["a"] = {"children": [task(each) for each in "bcdefg"]}
    tree = tree_of(APP, ["a"])
    assert (drawn(tree), tree.is_cut) == (["a", ".b", ".c", ".d"], True)


def test_tree__is_cut_if_one_of_two_is(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 2)
    for number in range(4):
        family[str(number)] = {"children": [task(str(number + 1))]}
    assert tree_of(APP, ["0", "x"]).is_cut


def test_tree__deep_one_is_cut(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 3)
    for number in range(9):
        family[str(number)] = {"children": [task(str(number + 1))]}
    tree = tree_of(APP, ["0"])
    assert (drawn(tree), tree.is_cut) == (["0", ".1", "..2", "...3"][: len(drawn(tree))], True)


def test_tree__of_a_saved_group_has_the_group(family: dict[str, Any]) -> None:
    family.update(a={"children": [task("c")]}, c={"parent": "a"})
    tree = tree_of(APP, ["g", "x"], {"g": ["a", "b"]})
    assert drawn(tree) == ["g", ".a", "..c", ".b", "x"]
    assert [node.id for _, node in tree.lines() if node.is_asked] == ["g", "x"]
    assert drawn(tree_of(APP, ["g"], {"g": []})) == ["g"]


def test_tree__of_a_saved_group_that_a_task_has_made(family: dict[str, Any]) -> None:
    """It stands where the task has called it, and nowhere else."""
    family.update(a={"children": [group("g", task("b"), task("c"))]}, b={"parent": "a"}, c={"parent": "a"})
    tree = tree_of(APP, ["g"], {"g": ["b", "c"]})
    assert drawn(tree) == ["a", ".g", "..b", "..c"]
    assert [node.id for _, node in tree.lines() if node.is_asked] == ["g"]
