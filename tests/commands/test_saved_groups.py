"""taskresult with the id of a group that a program has saved."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery.result import AsyncResult, GroupResult

from tests.conftest import Ran
from tests.support import Site

Run = Callable[..., Ran]

# Celery stores results with it.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


@pytest.fixture(autouse=True)
def server_that_ends_with_the_suite(suite_site: Site) -> None:
    """Have the suite end the private Valkey, which the first look of a test starts."""


@pytest.fixture
def save(app: Any) -> Callable[..., str]:
    """Save a group of tasks with these results; a list is a group inside it."""

    def result(each: Any) -> Any:
        task_id = str(uuid.uuid4())
        if isinstance(each, list):
            return GroupResult(task_id, [result(item) for item in each], app=app)
        if each is not None:
            app.backend.store_result(task_id, each, "FAILURE" if isinstance(each, Exception) else "SUCCESS")
        return AsyncResult(task_id, app=app)

    def save(*results: Any) -> str:
        group = result(list(results))
        group.save()
        return str(group.id)

    return save


def ids_of(app: Any, group: str) -> list[str]:
    return [each.id for each in app.GroupResult.restore(group)]


def test_group__all_done(app: Any, save: Callable[..., str], run_command: Run) -> None:
    group = save(4, "text")
    one, two = ids_of(app, group)
    assert run_command("taskresult", group) == Ran(
        f"{one} 4\n{two} text\n", f"{group} is a group of 2 tasks: 2 SUCCESS.\n", 0
    )


def test_group__of_one_task_has_its_id(app: Any, save: Callable[..., str], run_command: Run) -> None:
    group = save(4)
    done = run_command("taskresult", group)
    assert (done.out, done.code) == (f"{ids_of(app, group)[0]} 4\n", 0)
    assert done.err == f"{group} is a group of 1 task: 1 SUCCESS.\n"


def test_group__the_worst_decides(app: Any, save: Callable[..., str], run_command: Run) -> None:
    group = save(4, None, ValueError("broken"))
    one, two, three = ids_of(app, group)
    done = run_command("taskresult", group)
    assert (done.out, done.code) == (f"{one} 4\n", 1)
    assert done.err.splitlines() == [
        f"{group} is a group of 3 tasks: 1 FAILURE, 1 PENDING, 1 SUCCESS.",
        f"{three} failed: ValueError: broken",
        f"{two} is PENDING: no trace of it: no queue holds it and no worker that answers has it.",
    ]


def test_group__inside_another_counts_as_its_tasks(save: Callable[..., str], run_command: Run) -> None:
    done = run_command("taskresult", save(1, [2, [3]]))
    assert sorted(line.partition(" ")[2] for line in done.out.splitlines()) == ["1", "2", "3"]
    assert " is a group of 3 tasks: 3 SUCCESS." in done.err


def test_group__json(app: Any, save: Callable[..., str], typed: Run) -> None:
    group, other = save(4, ValueError("broken")), save(5)
    done = typed("taskresult", group, other, "--json")
    *tasks, first, second = map(json.loads, done.out.splitlines())
    members = ids_of(app, group)
    assert [(each["id"], each["state"]) for each in tasks[:2]] == [(members[0], "SUCCESS"), (members[1], "FAILURE")]
    assert first == {"group": group, "tasks": members, "states": {"SUCCESS": 1, "FAILURE": 1}}
    assert second == {"group": other, "tasks": ids_of(app, other), "states": {"SUCCESS": 1}}
    assert done.code == 1


def test_group__wait_is_for_all(app: Any, save: Callable[..., str], run_command: Run) -> None:
    group = save(4, None)
    one, two = ids_of(app, group)
    done = run_command("taskresult", group, "--wait", "--timeout", "100ms")
    assert (done.out, done.code) == (f"{one} 4\n", 3)
    assert done.err.splitlines()[:3] == [
        "Waiting for 2 tasks, 0.1 s at the most.",
        f"{group} is a group of 2 tasks: 1 PENDING, 1 SUCCESS.",
        f"{two} is PENDING after 0.1 s: no trace of it: no queue holds it and no worker that answers has it.",
    ]


def test_group__empty(save: Callable[..., str], run_command: Run) -> None:
    group = save()
    assert run_command("taskresult", group) == Ran("", f"{group} is a group of 0 tasks.\n", 0)


@pytest.fixture(
    params=["no JSON", b"\xff", '{"result": 5}', '{"result": null}', "[]", '{"result": [["one", null], null]}']
)
def broken(app: Any, request: pytest.FixtureRequest) -> str:
    """The id of a group whose entry is none of Celery's."""
    group = str(uuid.uuid4())
    app.backend.client.set(app.backend.get_key_for_group(group), request.param)
    return group


def test_group__that_cannot_be_read(broken: str, app: Any, save: Callable[..., str], run_command: Run) -> None:
    done = run_command("taskresult", broken)
    assert (done.out, done.code) == ("", 1)
    first, _ = done.err.splitlines()
    assert first.startswith(f"The result of {broken} cannot be read: ")
    assert first.endswith(" (the entry of a saved group).")
    assert run_command("taskresult", broken, "--tree").code == 1
    good = save(4)
    done = run_command("taskresult", broken, good)
    assert (done.out, done.code) == (f"{ids_of(app, good)[0]} 4\n", 1)


def test_group__that_cannot_be_read_as_json(broken: str, typed: Run) -> None:
    document = json.loads(typed("taskresult", broken, "--json").out)
    assert (document["id"], document["state"]) == (broken, "UNREADABLE")
