from __future__ import annotations

import re

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


TALE = """
from celery import shared_task

@shared_task
def add(x, y):
    return x + y

@shared_task
def fail():
    raise ValueError("no\\x1b[31m moon")

@shared_task(bind=True)
def again(self):
    raise self.retry(countdown=60)
"""


def told(site: Site, *words: str, pool: str = "solo") -> str:
    """Send three tasks, and return what a worker says that ends when it has run them."""
    site.write("shop/tasks.py", TALE)
    for call in (["add", "2", "2"], ["fail"], ["again"]):
        assert site.manage("enqueue", *call, "--task-id", f"{call[0]}-12345-more").returncode == 0
    options = ("--noreload", "--max-tasks", "3", "-P", pool, "-c", "1", "--without-mingle", "--without-gossip")
    ran = site.manage("runworker", *options, *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_development__a_line_when_a_task_begins_and_when_it_ends(site: Site, pool: str) -> None:
    """Celery's own lines of the same are gone; a traceback stays."""
    err = told(site.minimal(), pool=pool)
    lines = [
        re.sub(r"\d+\.\d{3} s", "T s", each[23:])
        for each in err.splitlines()
        if each.startswith("[") and "/" in each[:5]
    ]
    assert lines[:6] == [
        "shop.tasks.add add-1234 started",
        "shop.tasks.add add-1234 succeeded after T s: 4",
        "shop.tasks.fail fail-123 started",
        "shop.tasks.fail fail-123 failed after T s: ValueError: no\\x1b[31m moon",
        "shop.tasks.again again-12 started",
        "shop.tasks.again again-12 will be tried again after T s: Retry in 60s",
    ]
    assert re.search(r"^celery@\S+ ready\. Quit with CONTROL-C\.$", err, re.MULTILINE)
    assert err.count(" ready.") == err.count("raised unexpected: ") == 1
    assert [text for text in (" received\n", " succeeded in ", " retry: ") if text in err] == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("", ("-l", "INFO")),
        (LOGGING, ()),
        ("LOGGING_CONFIG = None", ()),
        ("", ("--celery-logging",)),
    ],
)
def test_development__lines_of_celery_stay_where_somebody_has_chosen(
    site: Site, settings: str, words: tuple[str, ...]
) -> None:
    err = told(site.minimal(settings=settings), *words)
    assert " started" not in err
    assert "CONTROL-C" not in err
    assert err.count("shop.tasks.add[add-12345-more] received") == err.count(" succeeded in ") == 1


def test_development__not_with_debug_off(site: Site) -> None:
    settings = "DEBUG = False\nALLOWED_HOSTS = ['*']\nCELERY_BROKER_URL = 'memory://'"
    ran = site.minimal(settings=settings).manage(*DRAIN)
    assert (ran.returncode, "CONTROL-C" in ran.stderr, " ready." in ran.stderr) == (0, False, False)


def test_development__a_part_of_rundev_does_not_say_how_to_quit(site: Site) -> None:
    ran = site.minimal().manage(*DRAIN, env={reports.VARIABLE: "1"})
    assert (" ready." in ran.stderr, "CONTROL-C" in ran.stderr) == (True, False)


def test_development__handlers_of_the_project_get_all_records(site: Site) -> None:
    site.minimal()
    more = """
import logging
from celery.signals import after_setup_logger

@after_setup_logger.connect
def add_file(logger, **kwargs):
    logger.addHandler(logging.FileHandler("records"))
"""
    err = told_with(site, more)
    records = (site.root / "records").read_text()
    assert " succeeded in " in records
    assert " received" in records
    assert " succeeded in " not in err


def told_with(site: Site, more: str) -> str:
    site.write("shop/more.py", more)
    site.write("shop/tasks.py", "from shop import more\n" + TALE)
    assert site.manage("enqueue", "add", "2", "2").returncode == 0
    return site.manage(*DRAIN).stderr


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
