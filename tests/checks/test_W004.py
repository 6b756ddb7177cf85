from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import management
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks, startup
from tasktools.management import commands
from tests.support import REPOSITORY

OURS = sorted(management.find_commands(str(REPOSITORY / "tasktools" / "management")))

OTHER = "from django.core.management.base import BaseCommand as Command\n"
BUILT_ON_OURS = "from tasktools.management.commands.runworker import Command\n"


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    """Put an app with commands into the project."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(startup, "run", lambda: None)  # which would find the apps of other tests
    name = f"other_{tmp_path.name}".replace("-", "_")

    def make(source: str, *names: str, first: bool = True) -> str:
        folder = tmp_path / name / "management" / "commands"
        folder.mkdir(parents=True)
        for each in (folder, folder.parent, folder.parent.parent):
            (each / "__init__.py").touch()
        for each in names:
            (folder / f"{each}.py").write_text(source)
        before = list(settings.INSTALLED_APPS)
        settings.INSTALLED_APPS = [name, *before] if first else [*before, name]
        management.get_commands.cache_clear()
        return name

    yield make
    management.get_commands.cache_clear()


@pytest.mark.parametrize("command", OURS)
def test_W004__fires_for_each_command_that_another_app_hides(other: Any, command: str) -> None:
    name = other(OTHER, command)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            f'The command "{command}" comes from the app "{name}" and hides that of tasktools.',
            hint=f'put "tasktools" before "{name}" in INSTALLED_APPS',
            id="tasktools.W004",
        )
    ]


def test_W004__several_commands_of_an_app_are_one_message(other: Any) -> None:
    name = other(OTHER, "runworker", "enqueue")
    (message,) = run_checks(tags=[checks.TAG])
    assert message.msg == f'The commands "enqueue", "runworker" come from the app "{name}" and hide those of tasktools.'


def test_W004__fires_for_a_command_that_cannot_be_imported(other: Any) -> None:
    other("import nosuch\n", "runbeat")
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W004"]


@pytest.mark.parametrize(
    ("source", "command", "first"),
    [(OTHER, "runworker", False), (OTHER, "another", True), (BUILT_ON_OURS, "runworker", True)],
    ids=["behind", "another command", "built on ours"],
)
def test_W004__is_silent(other: Any, source: str, command: str, first: bool) -> None:
    other(source, command, first=first)
    assert run_checks(tags=[checks.TAG]) == []


def test_W004__every_command_is_looked_at() -> None:
    expected = sorted(file.stem for file in Path(commands.__file__).parent.glob("[a-z]*.py"))
    assert len(expected) > 10
    assert expected == sorted(OURS)
