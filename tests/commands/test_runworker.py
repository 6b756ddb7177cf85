from __future__ import annotations

import pytest

from tasktools.exceptions import ProjectError
from tasktools.project import Project
from tasktools.supervisor import reports
from tests.commands.conftest import Run
from tests.support import Site

DRAIN = ("runworker", "--noreload", "--drain", "-P", "solo", "--without-mingle", "--without-gossip")


@pytest.mark.parametrize(
    ("settings", "words", "shown"),
    [
        ("", (), True),
        ("", ("-l", "WARNING"), False),
        ("DEBUG = False\nALLOWED_HOSTS = ['*']\nCELERY_BROKER_URL = 'memory://'", (), False),
        ("LOGGING = {'version': 1, 'root': {'level': 'ERROR'}}", (), False),
    ],
)
def test_level__with_debug_is_info(site: Site, settings: str, words: tuple[str, ...], shown: bool) -> None:
    """A worker without -l INFO said neither that it was ready nor which task it ran."""
    ran = site.minimal(settings=settings).manage(*DRAIN, *words)
    assert (" ready." in ran.stderr + ran.stdout) is shown
    assert ran.returncode == 0


def test_broken_tasks__are_named_once(typed: Run, project: Project) -> None:
    project.problems = [ProjectError('The module "shop.tasks" cannot be imported: NameError: x.', hint="look")]
    done = typed("runworker", "--noreload")
    assert done.err == 'The module "shop.tasks" cannot be imported: NameError: x.\nHint: look\n'
    assert (done.out, done.code) == ("", 2)


def test_broken_tasks__of_a_part_of_rundev_are_a_report(
    typed: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = ProjectError('The module "shop.tasks" cannot be imported.', hint="look")
    problem.__cause__ = SyntaxError("bad", ("tasks.py", 5, 1, "x"))
    project.problems = [problem]
    monkeypatch.setattr(reports, "is_part", lambda: True)
    done = typed("runworker", "--noreload")
    assert done.err == f"{reports.MARK}The project cannot be imported: SyntaxError: bad (tasks.py, line 5).\n"
    assert done.code == 2
    assert "Hint: look" in typed("runworker", "--noreload", "--traceback").err
