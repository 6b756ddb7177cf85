from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tasktools.exceptions import PrivateServerError
from tasktools.valkey.folders import runtime_folder
from tasktools.worker.banner import backend_uri, runtime_place, schedule_file, summary


@pytest.fixture
def make() -> Iterator[Callable[..., Any]]:
    """Make apps that are gone after the test: Celery remembers every app that lives."""
    made: list[Any] = []

    def make(name: str | None = "shop", **options: Any) -> Any:
        made.append(Celery(name, set_as_current=False, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def give_tasks(app: Any, *names: str) -> Any:
    """Leave the app these tasks beside Celery's own: the shared ones of this process do not count here."""

    def task() -> None: ...

    for name in [name for name in app.tasks if not name.startswith("celery.")]:
        del app.tasks[name]
    for name in names:
        app.task(name=name, shared=False)(task)
    return app


def test_summary__one_line_without_passwords(make: Callable[..., Any]) -> None:
    app = make(broker="redis://:secret@localhost:6379/0", backend="redis://:hidden@localhost:6379/1")
    assert summary(give_tasks(app, "shop.add"), "shop.celery:app") == (
        "app shop (-A shop.celery:app) | broker redis://:**@localhost:6379/0 | results redis://:**@localhost:6379/1"
        " | queues celery | 1 task"
    )


def test_summary__an_app_without_names_and_backend(make: Callable[..., Any]) -> None:
    app = give_tasks(make(None, broker="memory://"), "add", "other")
    assert summary(app, "", queues="one,two") == (
        "app unnamed (-A has no name) | broker memory:// | results disabled | queues one,two | 2 tasks"
    )


def test_summary__the_private_server_as_a_stock_celery_writes_it(app: Any) -> None:
    line = summary(app, "tasktools.celery:app")
    socket = app.conf.broker_url.partition("://")[2]
    assert line.startswith(
        f"app tests (-A tasktools.celery:app) | broker redis+socket://{socket} | results redis+socket://{socket} | "
    )


@pytest.mark.parametrize(
    ("backend", "printed"),
    [
        (None, "disabled"),
        ("redis://user:secret@host/1", "redis://user:**@host/1"),
        ("db+postgresql://user:secret@host/name", "db+postgresql://user:**@host/name"),
        ("redis+socket:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        ("rpc://", "rpc://"),
        ("django-db", "django-db"),
    ],
)
def test_backend_uri__forms(make: Callable[..., Any], backend: str | None, printed: str) -> None:
    assert backend_uri(make(backend=backend)) == printed


def test_schedule_file__a_file_that_can_be_written_stays(tmp_path: Path) -> None:
    assert schedule_file(str(tmp_path / "beat"), [tmp_path / "other"]) is None
    assert list(tmp_path.iterdir()) == []


def test_schedule_file__a_relative_one_is_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert schedule_file("beat", []) is None


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A folder that cannot be made, for root neither: its parent is a file."""
    file = tmp_path / "file"
    file.touch()
    return file / "folder"


def test_schedule_file__in_the_first_place_that_can_be_written(tmp_path: Path, unwritable: Path) -> None:
    places = [unwritable / "data", tmp_path / "run" / "here", tmp_path / "later"]
    assert schedule_file(str(unwritable / "beat"), places) == tmp_path / "run" / "here" / "beat"
    assert (tmp_path / "run" / "here").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "later").exists()


def test_schedule_file__a_file_of_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = tmp_path / "beat"
    configured.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != configured)
    assert schedule_file(str(configured), [tmp_path / "mine"]) == tmp_path / "mine" / "beat"


def test_schedule_file__leaves_the_folder_of_sockets_alone(tmp_path: Path, unwritable: Path) -> None:
    """It was made with the mode of the umask, and then refused to every project whose socket lies there."""
    before = os.umask(0o002)
    try:
        found = schedule_file(str(unwritable / "beat"), [runtime_place(Path("/site/.tasktools"), tmp_path)])
    finally:
        os.umask(before)
    assert found is not None
    made = [found.parent, *found.parent.parents][: -len(tmp_path.parents) - 1]
    assert [each.stat().st_mode & 0o777 for each in made] == [0o700]
    assert not runtime_folder(tmp_path).exists()


def test_schedule_file__not_where_others_may_write(tmp_path: Path, unwritable: Path) -> None:
    """A schedule is pickled: who can write it can run code as beat."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o775)
    places = [tmp_path / "open", tmp_path / "mine"]
    assert schedule_file(str(unwritable / "beat"), places) == tmp_path / "mine" / "beat"
    with pytest.raises(PrivateServerError, match=r"others have a right to it \(mode 775\)"):
        schedule_file(str(unwritable / "beat"), places[:1])


def test_schedule_file__no_place_can_be_written(unwritable: Path) -> None:
    with pytest.raises(NotADirectoryError):
        schedule_file(str(unwritable / "beat"), [unwritable])


def test_schedule_file__no_place_at_all(unwritable: Path) -> None:
    with pytest.raises(PermissionError, match="no folder can be written"):
        schedule_file(str(unwritable / "beat"), [])


def test_runtime_place__belongs_to_this_user_and_this_project(tmp_path: Path) -> None:
    project = hashlib.sha256(b"/site/.tasktools").hexdigest()[:16]
    expected = tmp_path / f"tasktools-{os.geteuid()}-{project}"
    assert runtime_place(Path("/site/.tasktools"), tmp_path) == expected
    assert runtime_place(Path("/other/.tasktools"), tmp_path) != expected
    assert not expected.exists()
