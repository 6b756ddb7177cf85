from __future__ import annotations

import pytest

from tasktools.exceptions import ProjectError
from tasktools.project import Project
from tasktools.supervisor import reports
from tests.commands.conftest import Run
from tests.support import CELERY_APP, LOGGING, Site

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


@pytest.mark.parametrize("disables", [False, pytest.param(True, marks=pytest.mark.fresh)])
def test_logging_setting__gets_the_records_of_tasks(site: Site, disables: bool) -> None:
    """Records of get_task_logger went to the console, in Celery's format, and not to the handlers of LOGGING."""
    site.minimal(
        settings=LOGGING.replace('"disable_existing_loggers": False', f'"disable_existing_loggers": {disables}')
    )
    site.write(
        "shop/tasks.py",
        """
        from celery import shared_task
        from celery.utils.log import get_task_logger

        logger = get_task_logger(__name__)

        @shared_task
        def reckon():
            logger.info("reckoning")
        """,
    )
    assert site.manage("enqueue", "reckon").returncode == 0
    ran = site.manage("runworker", "--noreload", "--drain", "-c", "1", "--without-mingle", "--without-gossip")
    assert ran.returncode == 0
    assert "MINE INFO shop.tasks reckoning\n" in ran.stderr
    assert ran.stderr.count("reckoning") == ran.stderr.count(" succeeded in ") == 1
    assert "PoolWorker" not in ran.stderr


@pytest.mark.parametrize(("variables", "times"), [({}, 1), ({reports.VARIABLE: "1"}, 0)])
def test_doubt__is_not_repeated_by_a_part_of_rundev(site: Site, variables: dict[str, str], times: int) -> None:
    site.minimal(settings="CELERY_TASK_ALWAYS_EAGER = True")
    ran = site.manage(*DRAIN, env=variables)
    assert (ran.returncode, ran.stderr.count("CELERY_TASK_ALWAYS_EAGER")) == (0, times)


def test_check__looks_at_the_tasks_of_an_app_of_the_project(site: Site) -> None:
    """Other commands do not import them before they need them, and so `check` does not know them."""
    site.minimal()
    site.write("mysite/celery.py", CELERY_APP)
    site.write("shop/tasks.py", "from celery import shared_task\n@shared_task\nasync def fetch(): ...\n")
    ran = site.manage(*DRAIN)
    assert 'The task "shop.tasks.fetch" (shop/tasks.py:2) is an async function' in ran.stderr
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
    problem.__cause__ = SyntaxError("bad", (__file__, 5, 1, "x"))
    project.problems = [problem]
    monkeypatch.setattr(reports, "is_part", lambda: True)
    done = typed("runworker", "--noreload")
    assert done.err == f"{reports.MARK}The project cannot be imported: SyntaxError: bad ({__file__}, line 5).\n"
    assert done.code == 2
    assert "Hint: look" in typed("runworker", "--noreload", "--traceback").err
