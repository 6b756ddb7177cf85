"""Brokers without a server: what they keep messages in is opened before a message is sent, and nothing was sent if it fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran

Run = Callable[..., Ran]

# kombu's models use it.
pytestmark = pytest.mark.filterwarnings("ignore:The ..noload.. loader strategy:DeprecationWarning")

CLEANUP = ("enqueue", "celery.backend_cleanup", "-A")


def folders(folder: Path, **others: str) -> dict[str, Any]:
    names = {"data_folder_in": "in", "data_folder_out": "out", "control_folder": "control", **others}
    for name in ("in", "out"):
        (folder / name).mkdir(exist_ok=True)
    return {option: str(folder / name) for option, name in names.items()}


def test_database__whose_file_cannot_be_opened(run_command: Run, elsewhere: Callable[..., str]) -> None:
    done = run_command(*CLEANUP, elsewhere(broker_url="sqla+sqlite:////nowhere/x.db"))
    sentence, hint = done.err.splitlines()
    assert sentence.startswith('The broker "sqla+sqlite:////nowhere/x.db" cannot be reached: ')
    assert sentence.endswith(" Nothing was sent.")
    assert hint.startswith("Hint: make its folder, or fix the address")
    assert (done.out, done.code) == ("", 69)


def test_database__whose_driver_is_not_installed(
    run_command: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    done = run_command(*CLEANUP, elsewhere(broker_url="sqla+mysql+pymysql://me:secret@host/name"))
    sentence, hint = done.err.splitlines()
    assert sentence.startswith(
        'The broker "sqla+mysql+pymysql://me:**@host/name" needs a library that is not installed: '
    )
    assert "pymysql" in sentence.partition("installed: ")[2]
    assert hint.startswith("Hint: install it, or name another driver")
    assert (done.out, done.code) == ("", 2)


def test_database__of_no_kind_that_is_known(run_command: Run, elsewhere: Callable[..., str]) -> None:
    done = run_command(*CLEANUP, elsewhere(broker_url="sqla+nosuch://me:secret@host/name"))
    assert done.err.startswith('The broker "sqla+nosuch://me:**@host/name" cannot be used: NoSuchModuleError: ')
    assert (done.out, done.code) == ("", 2)


@pytest.mark.parametrize("url", ["sqla+sqlite:///{}/x.db", "sqla+sqlite://"])
def test_database__that_can_be_opened(
    run_command: Run, elsewhere: Callable[..., str], tmp_path: Path, url: str
) -> None:
    done = run_command(*CLEANUP, elsewhere(broker_url=url.format(tmp_path)))
    assert (done.err, done.code) == ("", 0)


@pytest.mark.parametrize(
    "others", [{"data_folder_in": "nosuch"}, {"data_folder_out": "nosuch"}, {"control_folder": "nosuch/control"}]
)
def test_folders__one_that_is_not_there(
    run_command: Run, elsewhere: Callable[..., str], tmp_path: Path, others: dict[str, str]
) -> None:
    name = elsewhere(broker_url="filesystem://", broker_transport_options=folders(tmp_path, **others))
    assert run_command(*CLEANUP, name) == Ran(
        "",
        'The broker "filesystem://" cannot be reached: [Errno 2] No such file or directory: '
        f"'{tmp_path}/nosuch'. Nothing was sent.\n"
        "Hint: make it and let this user write there, or name another in the settings",
        69,
    )


def test_folders__one_that_may_not_be_written(
    run_command: Run, elsewhere: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    name = elsewhere(broker_url="filesystem://", broker_transport_options=folders(tmp_path))
    done = run_command(*CLEANUP, name)
    assert f"cannot be reached: [Errno 13] Permission denied: '{tmp_path}/out'. Nothing was sent." in done.err
    assert done.code == 69


def test_folders__that_are_there(run_command: Run, elsewhere: Callable[..., str], tmp_path: Path) -> None:
    name = elsewhere(broker_url="filesystem://", broker_transport_options=folders(tmp_path))
    assert run_command(*CLEANUP, name).code == 0
    [message] = (tmp_path / "out").iterdir()
    assert json.loads(message.read_text())["headers"]["task"] == "celery.backend_cleanup"


@pytest.mark.parametrize("error", [NameError("KafkaException"), RuntimeError("qpidtoollibs is missing")])
def test_transport__that_fails_without_its_library(
    run_command: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    name = elsewhere(broker_url="memory://")

    def fail(self: Any) -> Any:
        raise error

    monkeypatch.setattr("kombu.connection.Connection.create_transport", fail)
    assert run_command(*CLEANUP, name) == Ran(
        "",
        f'The broker "memory://" cannot be used ({type(error).__name__}).\n'
        "Hint: fix CELERY_BROKER_URL, or install its library; --traceback shows where it fails",
        2,
    )
