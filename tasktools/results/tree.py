"""The tasks that a task has called, as a tree: a chain goes down, a group and a chord go wide.

A result keeps what its task has called (`children`) and by which task it was called (`parent_id`). Celery writes a child as
`[[id, parent], None]`, and a group as `[[id, parent], [child, ...]]` (AsyncResult.as_tuple, GroupResult.as_tuple).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tasktools.results.looking import look_at_all
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: How many tasks are shown, and how many steps are taken up and down.
MOST, MOST_STEPS = 10_000, 500

#: How often the tree is made, at the most, while results come.
MOST_TRIES = 3


@dataclass
class Node:
    """A task, or a group of tasks: a group has no outcome of its own."""

    id: str
    outcome: Outcome | None = None
    children: list[Node] = field(default_factory=list)
    #: Whether it was asked for.
    is_asked: bool = False


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The trees of the tasks that were asked for."""

    roots: Sequence[Node]
    #: Whether tasks were left out: there are more than MOST, or more levels than MOST_STEPS.
    is_cut: bool = False

    def lines(self) -> Iterator[tuple[int, Node]]:
        """Yield each node with its level, as it is printed."""
        left = [(0, root) for root in reversed(self.roots)]
        while left:
            level, node = left.pop()
            yield level, node
            left += [(level + 1, child) for child in reversed(node.children)]

    def outcomes(self) -> list[Outcome]:
        return [node.outcome for _, node in self.lines() if node.outcome is not None]

    def states(self) -> Counter[str]:
        return Counter(outcome.state for outcome in self.outcomes())


def tree_of(app: Celery, ids: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None) -> Tree:
    """Return the trees in which these tasks are, from their roots on. A task that is in it twice is shown once.

    `groups` has the tasks of those of `ids` that are groups.

    Raises Unreachable when the result backend does not answer.
    """
    groups = groups or {}
    task_ids = list(dict.fromkeys(task_id for each in ids for task_id in groups.get(each, [each])))
    for _ in range(MOST_TRIES):
        tree, seen = _tree(app, task_ids)
        if all(_has_caller(root, seen) for root in tree.roots):
            break  # else a result has come between the look for the roots and the look at them: it names its caller
    tree = replace(tree, roots=_grouped(tree.roots, groups))
    for _, node in tree.lines():
        node.is_asked = node.id in ids
    return tree


def _grouped(roots: Sequence[Node], groups: Mapping[str, Sequence[str]]) -> list[Node]:
    """Return the roots, those that are of a group under a node of that group, unless a task names the group as its child."""
    known = {node.id for _, node in Tree(roots=roots).lines()}
    of = {member: group for group, members in groups.items() if group not in known for member in members}
    made = {group: Node(group) for group in groups if group not in known}
    found: dict[str, Node] = {}
    for root in roots:
        group = of.get(root.id)
        if group is not None:
            made[group].children.append(root)
        node = root if group is None else made[group]
        found[node.id] = node
    return [*found.values(), *(node for group, node in made.items() if group not in found)]


def _has_caller(root: Node, seen: Collection[str]) -> bool:
    """Whether the task that has called a root, if any, is in the tree as well."""
    return root.outcome is None or root.outcome.parent is None or root.outcome.parent in seen


def _tree(app: Celery, task_ids: Sequence[str]) -> tuple[Tree, set[str]]:
    """Return the trees as they are now, and the ids of all tasks in them."""
    seen: set[str] = set()
    roots: list[Node] = []
    is_cut = False
    for each in [*_roots(app, task_ids), *task_ids]:  # one that its caller does not have yet is a root as well
        if each not in seen:
            seen.add(each)
            roots.append(Node(each))
            is_cut = _fill(app, roots[-1:], seen) or is_cut
    return Tree(roots=roots, is_cut=is_cut), seen


def _fill(app: Celery, level: list[Node], seen: set[str]) -> bool:
    """Fill nodes and all below them, a level in one look; return whether something was left out."""
    for _ in range(MOST_STEPS):
        found = {each.id: each for each in look_at_all(app, [node.id for node in level])}
        below: list[Node] = []
        for node in level:
            outcome = node.outcome = found[node.id]
            node.children = _nodes(outcome.children, seen, below)
        level = below
        if not level:
            return len(seen) >= MOST
    return True


def _roots(app: Celery, task_ids: Sequence[str]) -> list[str]:
    """Return the tasks that nobody has called, of those above these tasks; one without a result is a root itself."""
    tops = {each: each for each in task_ids}
    open_ids, passed = list(tops), set(tops)
    for _ in range(MOST_STEPS):
        parents = {each.id: each.parent for each in look_at_all(app, open_ids) if each.parent}
        tops = {task_id: parents.get(top, top) for task_id, top in tops.items()}
        open_ids = list(dict.fromkeys(parent for parent in parents.values() if parent not in passed))
        passed.update(open_ids)
        if not open_ids:
            break
    return list(dict.fromkeys(tops.values()))


def _nodes(children: Any, seen: set[str], below: list[Node]) -> list[Node]:
    """Return the nodes of what a result keeps as its children, and add its tasks to `below`, the next level to look at."""
    made: list[Node] = []
    left = [(made, entry, 0, True) for entry in reversed(_list(children))]
    while left and len(seen) < MOST:
        into, entry, depth, is_first = left.pop()
        (task_id, parent), members = _entry(entry)
        before = _entry(parent)[0][0]
        if is_first and before and before not in seen:  # a chord's body: its header comes before
            left += [(into, entry, depth, False), (into, parent, depth, True)]
            continue
        if not task_id or task_id in seen or depth > MOST_STEPS:
            continue
        seen.add(task_id)
        node = Node(task_id)
        into.append(node)
        if members is None:
            below.append(node)
        left += [(node.children, each, depth + 1, True) for each in reversed(members or [])]
    return made


def _entry(entry: Any) -> tuple[tuple[str, Any], list[Any] | None]:
    """Return id and parent, and the members if it is a group. The id of what is no such entry is ""."""
    parts = _list(entry)
    pair = _list(parts[0]) if parts else []
    task_id = pair[0] if pair and isinstance(pair[0], str) else parts[0] if parts and isinstance(parts[0], str) else ""
    members = parts[1] if len(parts) > 1 and isinstance(parts[1], (list, tuple)) else None
    return (task_id, pair[1] if len(pair) > 1 else None), None if members is None else list(members)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
