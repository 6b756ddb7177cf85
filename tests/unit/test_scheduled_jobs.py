"""Jobs of django-extensions are tasks, and entries of the schedule."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab
from django.core.signals import request_started
from django.dispatch import Signal
from django_extensions.management.jobs import get_jobs

from tasktools import scheduled_jobs, startup
from tasktools.beat.entries import entries_of
from tasktools.beat.jobs import plan
from tasktools.beat.schedule import faults
from tasktools.beat.words import describe, span
from tasktools.discovery import celery_app, watching
from tasktools.discovery.celery_app import Found
from tasktools.discovery.jobs import GROUPS
from tasktools.exceptions import AppError, ConfigurationError, JobError, SeveralAppsError
from tasktools.management.completion import Line, entry_names
from tasktools.project import Job, Jobs
from tasktools.registry import registry
from tasktools.registry.exits import TaskExit
from tests.bazaar import Bazaar, bazaar, job
from tests.conftest import Ran
from tests.support import REPOSITORY

__all__ = ["bazaar"]

DAILY = "bazaar/jobs/daily/clean_up.py"
NAME = "bazaar.jobs.daily.clean_up"


def own(app: Any) -> list[str]:
    return sorted(name for name in registry.names(app) if name.startswith("bazaar."))


def test_join__without_the_setting__imports_nothing(bazaar: Bazaar, shop: Any, settings: Any) -> None:
    del settings.TASKTOOLS_JOBS
    bazaar.write(DAILY, job("DailyJob"))
    assert bazaar.join(shop) == Jobs(app=shop)
    assert (own(shop), shop.conf.beat_schedule) == ([], {})
    assert not any(name.startswith("bazaar.jobs") for name in sys.modules)
    assert not shop.on_after_finalize.receivers


USUAL = [
    ("MinutelyJob", "minutely", "every minute", 60),
    ("QuarterHourlyJob", "quarter_hourly", "every 15 min", 900),
    ("HourlyJob", "hourly", "every hour", 3600),
    ("DailyJob", "daily", "at 00:00 every day", 86400),
    ("WeeklyJob", "weekly", "at 00:00 on Sunday", 604800),
    ("MonthlyJob", "monthly", "at 00:00 on day 1 of the month", None),
    ("YearlyJob", "yearly", "at 00:00 on day 1 of the month in January", None),
]


#: What crontab(5) says of its words.
WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


def test_docs__the_table_has_the_usual_times(shop: Any) -> None:
    page = (REPOSITORY / "docs/jobs.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `([^`]+)` \| ([^|]+) \|$", page, re.MULTILINE)
    jobs = [Job(name=group, kind=None, when=group) for group, _, _ in rows]
    entries = plan(shop, jobs, {})
    assert [group for group, _, _ in rows] == list(GROUPS) == list(entries)
    for group, words, expires in rows:
        assert entries[group]["schedule"] == crontab.from_string(WORDS.get(words, words))
        seconds = entries[group].get("options", {}).get("expires")
        assert expires == ("never" if seconds is None else span(timedelta(seconds=seconds)))


@pytest.mark.parametrize(("kind", "folder", "when", "expires"), USUAL, ids=[each[1] for each in USUAL])
@pytest.mark.parametrize("is_in_folder", [True, False])
def test_join__each_group_has_the_time_of_cron_s_word(
    bazaar: Bazaar, shop: Any, kind: str, folder: str, when: str, expires: int | None, is_in_folder: bool
) -> None:
    path = f"jobs/{folder}/tidy" if is_in_folder else "jobs/tidy"
    bazaar.write(f"bazaar/{path}.py", job(kind))
    bazaar.join(shop)
    name = f"bazaar/{path}".replace("/", ".")
    [(found, entry)] = shop.conf.beat_schedule.items()
    assert (found, entry["task"], describe(entry["schedule"])) == (name, name, when)
    assert entry.get("options") == ({"expires": expires} if expires else None)
    assert list(faults(shop)) == []


def test_join__knows_the_jobs_that_django_extensions_knows(bazaar: Bazaar, shop: Any) -> None:
    for path in ("jobs/one", "jobs/hourly/two", "jobs/weekly/three", "jobs/quarter_hourly/four"):
        bazaar.write(f"bazaar/{path}.py", job("BaseJob"))
    for path in ("jobs/_none", "jobs/other/none", "jobs/hourly/_none"):
        bazaar.write(f"bazaar/{path}.py", "raise RuntimeError")
    jobs = bazaar.join(shop)
    theirs = {f"{each.__module__}" for each in get_jobs().values()}
    assert {each.name for each in jobs.found} == theirs == set(own(shop))
    assert len(theirs) == 4


def test_join__a_job_without_when__is_a_task_without_an_entry(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write("bazaar/jobs/tidy.py", job("BaseJob"))
    bazaar.write("bazaar/jobs/daily/later.py", job("BaseJob"))
    assert bazaar.join(shop).problems == []
    assert own(shop) == ["bazaar.jobs.daily.later", "bazaar.jobs.tidy"]
    assert shop.conf.beat_schedule == {}


def test_join__a_module_jobs_and_an_app_in_an_app__are_no_jobs(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write("bazaar/jobs.py", "raise RuntimeError")
    assert bazaar.join(shop) == Jobs(app=shop)
    (bazaar.root / "bazaar/jobs.py").unlink()
    bazaar.write("bazaar/jobs/models.py", "raise RuntimeError")
    bazaar.install("bazaar", "bazaar.jobs")
    assert bazaar.join(shop) == Jobs(app=shop)


LOOK = 'manage.py shell -c "import {}" shows where'
WRITE = (
    "from django_extensions.management.jobs import DailyJob; class Job(DailyJob): def execute(self): ...; "
    "begin the name of a module that is not a job with an underscore"
)
MISSING = "ModuleNotFoundError: No module named 'nope_of_this_test'"
IDLE = f'The execute of the job "{NAME}" is an async function or a generator: to call it runs nothing.'
AWAIT = "write a plain method; async_to_sync of asgiref.sync calls async functions"
PLAIN = "class Job:\n    when = 'daily'\n    {}def execute(self): {}\n"
BROKEN = [
    ("import nope_of_this_test", f'The job "{NAME}" cannot be imported: {MISSING}.', LOOK.format(NAME)),
    ("exit(3)", f'The job "{NAME}" cannot be imported: SystemExit: 3.', LOOK.format(NAME)),
    (
        "from tasktools.exceptions import ConfigurationError; raise ConfigurationError('No broker.')",
        f'The job "{NAME}" cannot be imported: ConfigurationError: No broker.',
        LOOK.format(NAME),
    ),
    ("x = 1", f'The job "{NAME}" has no class Job.', WRITE),
    ("Job = 5", f'The job "{NAME}" has no class Job.', WRITE),
    ("class Job: pass", f'The job "{NAME}" has a class Job without execute.', WRITE),
    (PLAIN.format("async ", "pass"), IDLE, AWAIT),
    (PLAIN.format("", "yield"), IDLE, AWAIT),
    (
        job("WeeklyJob"),
        f'The job "{NAME}" is in the folder "daily", and its when is "weekly".',
        "move its file, or derive Job from the class for daily jobs",
    ),
]


@pytest.mark.parametrize(("text", "sentence", "hint"), BROKEN, ids=[each[1][-30:] for each in BROKEN])
def test_join__a_job_that_cannot_be_one__is_a_sentence_and_the_others_go_on(
    bazaar: Bazaar, shop: Any, text: str, sentence: str, hint: str
) -> None:
    bazaar.write(DAILY, text)
    bazaar.write("bazaar/jobs/daily/other.py", job("DailyJob"))
    jobs = bazaar.join(shop)
    assert [(type(each), each.sentence, each.hint) for each in jobs.problems] == [(JobError, sentence, hint)]
    assert own(shop) == list(shop.conf.beat_schedule) == ["bazaar.jobs.daily.other"]


def test_join__an_unknown_when(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write("bazaar/jobs/tidy.py", "class Job:\n    when = 'fortnightly'\n    def execute(self): pass")
    hint = "it is one of minutely, quarter_hourly, hourly, daily, weekly, monthly, yearly"
    assert bazaar.told(shop) == [('The when of the job "bazaar.jobs.tidy" is "fortnightly".', hint)]
    assert own(shop) == []


@pytest.mark.parametrize("package", ["bazaar.jobs", "bazaar.jobs.daily"])
def test_join__a_package_that_cannot_be_imported(bazaar: Bazaar, shop: Any, package: str) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/jobs/weekly/other.py", job("WeeklyJob"))
    (bazaar.root / package.replace(".", "/") / "__init__.py").write_text("import nope_of_this_test")
    sentence = f'The jobs in "{package}" cannot be imported: {MISSING}.'
    assert bazaar.told(shop) == [(sentence, LOOK.format(package))]
    assert own(shop) == ([] if package == "bazaar.jobs" else ["bazaar.jobs.weekly.other"])


class Broken(Exception):
    pass


def test_task__runs_the_job_and_fails_with_its_exception(bazaar: Bazaar, shop: Any) -> None:
    done: list[Any] = []
    sys.modules["bazaar"].done = done  # type: ignore[attr-defined]
    sys.modules["bazaar"].Broken = Broken  # type: ignore[attr-defined]
    bazaar.write(DAILY, job("DailyJob", "import bazaar; bazaar.done.append(self); return object()"))
    bazaar.write("bazaar/jobs/daily/fails.py", job("DailyJob", "import bazaar; raise bazaar.Broken('no')"))
    bazaar.join(shop)
    assert [shop.tasks[NAME].apply().get() for _ in range(2)] == [None, None]  # what it returns may be no JSON
    assert len({id(each) for each in done}) == 2
    with pytest.raises(Broken, match="no"):
        shop.tasks["bazaar.jobs.daily.fails"].apply(throw=True)


@pytest.mark.parametrize("code", ["0", "3", "", "'no'"])
def test_task__a_job_that_calls_exit__fails_and_the_worker_goes_on(bazaar: Bazaar, shop: Any, code: str) -> None:
    bazaar.write(DAILY, job("DailyJob", f"import sys; sys.exit({code})"))
    bazaar.join(shop)
    with pytest.raises(TaskExit, match=r"The task called exit\(") as caught:
        shop.tasks[NAME].apply(throw=True)
    assert isinstance(caught.value.__cause__, SystemExit)


def test_task__a_job_that_is_interrupted__ends_as_any_task(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, job("DailyJob", "raise KeyboardInterrupt"))
    bazaar.join(shop)
    with pytest.raises(KeyboardInterrupt):
        shop.tasks[NAME].apply()


def test_task__takes_what_execute_takes(bazaar: Bazaar, shop: Any) -> None:
    body = (
        "def execute(self, days: int = 30) -> None:\n        '''Clean up.'''\n        import bazaar; bazaar.days = days"
    )
    bazaar.write(DAILY, f"from django_extensions.management.jobs import DailyJob\nclass Job(DailyJob):\n    {body}\n")
    bazaar.write(
        "bazaar/jobs/daily/still.py", "class Job:\n    help = 'Still.'\n    execute = staticmethod(lambda x=1: x)"
    )
    bazaar.join(shop)
    first, second = registry.tasks(shop, pattern="bazaar.")
    assert (first.short_name, first.signature, first.doc) == ("clean_up", "(days: int = 30)", "Clean up.")
    assert first.defined_in.endswith("clean_up.py:3")
    assert (second.signature, second.doc) == ("(x=1)", "Still.")
    shop.tasks[NAME].apply((5,))
    assert sys.modules["bazaar"].days == 5
    assert list(faults(shop)) == []


def test_task__is_routed_and_annotated_by_its_name(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    shop.conf.task_routes = {"bazaar.jobs.*": {"queue": "slow"}}
    shop.conf.task_annotations = {NAME: {"time_limit": 50}}
    bazaar.join(shop)
    [task] = registry.tasks(shop, pattern="bazaar.")
    assert (task.queue, shop.tasks[NAME].time_limit) == ("slow", 50)


def test_task__an_execute_that_needs_an_argument__is_a_fault_of_its_entry(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, "class Job:\n    when = 'daily'\n    def execute(self, days): pass")
    bazaar.join(shop)
    [fault] = faults(shop)
    assert (fault.kind, fault.entry) == ("arguments", NAME)
    assert "missing a required argument: 'days'" in fault.sentence


def test_join__the_name_of_a_task__is_refused(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/jobs/daily/other.py", job("DailyJob"))

    @shop.task(name=NAME, shared=False)
    def clean_up() -> int:
        return 5

    jobs = bazaar.join(shop)
    scheduled_jobs.join(shop)  # a command that loads the tasks joins again
    [problem] = jobs.problems
    place = f"tests/unit/test_scheduled_jobs.py:{clean_up.run.__code__.co_firstlineno}"
    assert problem.sentence == f'The job "{NAME}" is no task: another task has this name ({place}).'
    assert problem.hint.startswith("rename the module of the job, or give the task its own name")
    assert shop.tasks[NAME].apply().get() == 5
    assert list(shop.conf.beat_schedule) == ["bazaar.jobs.daily.other"]


@pytest.mark.parametrize("is_early", [True, False])
def test_join__an_app_that_is_finalized(bazaar: Bazaar, shop: Any, is_early: bool) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    if is_early:
        shop.finalize()
    bazaar.join(shop)
    scheduled_jobs.join(shop)
    assert (own(shop), list(shop.conf.beat_schedule)) == ([NAME], [NAME])


def test_join__another_app__has_none_or_two_beats_would_send_them(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.join(shop)
    other = Celery("other", broker="memory://", set_as_current=False)
    scheduled_jobs.join(other)
    assert (own(other), other.conf.beat_schedule) == ([], {})
    other.close()


ANOTHER = "from celery import Celery\napp = Celery('another')\n"
SEVERAL = "The jobs of django-extensions are no tasks: this project has several Celery apps"
NAME_IT = 'name the app that has the jobs in the settings, as in TASKTOOLS_APP = "proj.celery:app"'


def test_join__an_app_that_another_process_may_choose__nobody_has_the_jobs(
    bazaar: Bazaar, shop: Any, settings: Any
) -> None:
    """Each of `celery -A bazaar beat` and manage.py runbeat knows its own app alone, and would send each job."""
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/celery.py", ANOTHER)
    assert bazaar.told(shop) == [(f"{SEVERAL}, such as bazaar.celery.", NAME_IT)]
    assert (own(shop), shop.conf.beat_schedule) == ([], {})
    assert "bazaar.celery" not in sys.modules
    settings.TASKTOOLS_APP = "bazaar.celery:app"
    assert bazaar.told(shop) == []
    assert own(shop) == [NAME]


class Branch(Celery):
    """A class of apps that a process has imported."""


class Twig(Branch):
    pass


@pytest.mark.parametrize(
    "text",
    [
        "from shop.base import Branch\napp = Branch('another')\n",
        "from shop import base\napp: object = base.Twig('another')\n",
        "from celery import Celery\nclass Own(Celery):\n    pass\nclass Owner(Own, object):\n    pass\napp = Owner('x')\n",
    ],
)
def test_join__an_app_of_a_derived_class__is_another_one(bazaar: Bazaar, shop: Any, text: str) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/celery.py", text)
    assert bazaar.told(shop) == [(f"{SEVERAL}, such as bazaar.celery.", NAME_IT)]
    assert "bazaar.celery" not in sys.modules


def test_report_jobs__a_worker_and_a_beat_of_plain_celery_say_it_once(
    bazaar: Bazaar, shop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """No check runs in them."""
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/celery.py", ANOTHER)
    bazaar.join(shop)
    bazaar.project.told_jobs = True  # by the checks of runworker
    startup.report_jobs()
    assert caplog.messages == []
    bazaar.project.told_jobs = False
    startup.report_jobs()
    startup.report_jobs()
    assert caplog.messages == [f"{SEVERAL}, such as bazaar.celery. Hint: {NAME_IT}"]
    assert [each.levelname for each in caplog.records] == ["WARNING"]  # as the check


def test_report_jobs__silenced__says_nothing(
    bazaar: Bazaar, shop: Any, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W017"]
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/celery.py", ANOTHER)
    bazaar.join(shop)
    assert bazaar.project.job_problems
    startup.report_jobs()
    assert caplog.messages == []


@pytest.mark.parametrize(("holder", "is_sure"), [("__init__", True), ("models", True), ("engine", False)])
def test_join__an_app_that_only_A_leads_to__has_no_jobs(bazaar: Bazaar, holder: str, is_sure: bool) -> None:
    """manage.py finds no app in such a module, and makes its own: that one has the jobs."""
    bazaar.write(DAILY, job("DailyJob"))
    name = "bazaar" if holder == "__init__" else f"bazaar.{holder}"
    bazaar.write(f"bazaar/{holder}.py")
    app = Celery("x", broker="memory://", set_as_current=False)
    vars(import_module(name))["app"] = app
    why = f"The jobs of django-extensions are no tasks: another process may choose another Celery app than {name}:app."
    assert bazaar.told(app) == ([] if is_sure else [(why, NAME_IT)])
    assert own(app) == [NAME] * is_sure
    app.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "from shop import app\n",
        ANOTHER.replace("another'", "x', set_as_current=False"),
        "class Shelf(dict):\n    pass\napp = Shelf()\n",
    ],
)
def test_join__a_module_that_makes_no_app_of_the_project__is_no_other_app(bazaar: Bazaar, shop: Any, text: str) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/celery.py", text)
    assert bazaar.told(shop) == []
    assert own(shop) == [NAME]


@pytest.mark.parametrize("setting", [True, False])
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SeveralAppsError("This project has 2 Celery apps."), f"{SEVERAL}."),
        (AppError("No."), "The jobs of django-extensions are no tasks: start-up could not choose a Celery app."),
    ],
)
def test_start_up__that_chooses_no_app__leaves_the_jobs_to_none_that_A_names(
    bazaar: Bazaar,
    shop: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    sentence: str,
    setting: bool,
) -> None:
    def fail() -> None:
        raise error

    settings.TASKTOOLS_JOBS = setting
    monkeypatch.setattr(request_started, "connect", lambda *_, **__: None)
    monkeypatch.setattr(celery_app, "find", fail)
    bazaar.write(DAILY, job("DailyJob"))
    startup.run()
    scheduled_jobs.join(shop)
    shop.finalize()
    assert (own(shop), shop.conf.beat_schedule) == ([], {})
    assert [(each.sentence, each.hint) for each in bazaar.project.job_problems] == [(sentence, NAME_IT)] * setting


@pytest.mark.parametrize("name", ["clean-up", "import", "ünïcode"])
def test_join__a_file_whose_name_is_no_word_of_python(bazaar: Bazaar, shop: Any, name: str) -> None:
    """django-extensions imports it all the same."""
    bazaar.write(f"bazaar/jobs/daily/{name}.py", job("DailyJob", "raise RuntimeError('it ran')"))
    assert bazaar.join(shop).problems == []
    with pytest.raises(RuntimeError, match="it ran"):
        shop.tasks[f"bazaar.jobs.daily.{name}"].apply(throw=True)


class Unsigned:
    """What has no signature."""

    when = "daily"
    execute = type("Execute", (), {"__call__": None, "__signature__": 5})()


def test_join__an_execute_without_self(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, "class Job:\n    def execute(): pass\n")
    jobs = bazaar.join(shop)
    assert own(shop) == []
    assert [each.sentence for each in jobs.problems] == [
        f'The job "{NAME}" cannot be a task: ValueError: invalid method signature.'
    ]


def test_task__an_execute_that_takes_anything(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, "class Job:\n    def execute(*args, **options): pass\n")
    bazaar.join(shop)
    assert next(registry.tasks(shop, pattern="bazaar.")).signature == "(*args, **options)"


def test_join__an_execute_without_a_signature(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, "from tests.unit.test_scheduled_jobs import Unsigned as Job")
    bazaar.write("bazaar/jobs/daily/other.py", job("DailyJob"))
    [problem] = bazaar.join(shop).problems
    assert problem.sentence.startswith(f'The job "{NAME}" cannot be a task: TypeError: ')
    assert problem.hint == "the execute of a job takes self alone, or arguments with defaults"
    assert list(shop.conf.beat_schedule) == ["bazaar.jobs.daily.other"]


def sources(app: Any, *in_settings: str) -> dict[str, str]:
    app.conf.result_expires = None  # no celery.backend_cleanup
    return {each.name: each.source for each in entries_of(app, "celery.beat:Scheduler", in_settings)}


def written(app: Any) -> dict[str, str]:
    return {name: describe(app.conf.beat_schedule[name]["schedule"]) for name in app.conf.beat_schedule}


def test_entry_of_the_settings__wins(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/jobs/daily/other.py", job("DailyJob"))
    mine = {NAME: {"task": NAME, "schedule": crontab(minute=30, hour=4), "options": {"queue": "slow"}}}
    shop.conf.beat_schedule = mine
    jobs = bazaar.join(shop)
    assert written(shop) == {NAME: "at 04:30 every day", "bazaar.jobs.daily.other": "at 00:00 every day"}
    assert list(mine) == [NAME]  # the dictionary of the settings is left alone
    assert list(jobs.entries) == ["bazaar.jobs.daily.other"]
    assert sources(shop, NAME) == {NAME: "settings", "bazaar.jobs.daily.other": "jobs"}


def test_entry_that_code_adds__wins(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.join(shop)
    shop.add_periodic_task(30, shop.tasks[NAME].s(), name=NAME)
    assert written(shop) == {NAME: "30"}
    assert sources(shop) == {NAME: "code"}


def test_times__of_a_group_and_of_a_job(bazaar: Bazaar, shop: Any, settings: Any) -> None:
    for name in ("clean_up", "own", "never"):
        bazaar.write(f"bazaar/jobs/daily/{name}.py", job("DailyJob"))
    for path, kind in (("weekly/off", "WeeklyJob"), ("hourly/usual", "HourlyJob"), ("tidy", "BaseJob")):
        bazaar.write(f"bazaar/jobs/{path}.py", job(kind))
    settings.TASKTOOLS_JOBS = {
        "daily": crontab(minute=30, hour=4),
        "weekly": None,
        "bazaar.jobs.daily.own": 90,
        "bazaar.jobs.daily.never": None,
        "bazaar.jobs.tidy": 45,
    }
    jobs = bazaar.join(shop)
    assert written(shop) == {
        NAME: "at 04:30 every day",
        "bazaar.jobs.daily.own": "90",
        "bazaar.jobs.hourly.usual": "every hour",
        "bazaar.jobs.tidy": "45",
    }
    assert (jobs.problems, len(own(shop))) == ([], 6)
    assert "options" not in shop.conf.beat_schedule[NAME]  # how long its run is of use is not known


def test_times__a_name_that_is_none(bazaar: Bazaar, shop: Any, settings: Any) -> None:
    bazaar.write(DAILY, "import nope_of_this_test")
    settings.TASKTOOLS_JOBS = {"dayly": 60, NAME: None, 5: 60}
    jobs = bazaar.join(shop)
    told = [(each.sentence, each.hint) for each in jobs.problems if isinstance(each, ConfigurationError)]
    assert told == [
        ('TASKTOOLS_JOBS has "dayly", which is no job and no group of jobs.', "did you mean daily?"),
        (
            'TASKTOOLS_JOBS has "5", which is no job and no group of jobs.',
            "its keys are groups such as daily, or names of jobs",
        ),
    ]


def test_start_up__a_web_process_logs_what_is_no_task(
    bazaar: Bazaar, shop: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connected: list[Any] = []
    monkeypatch.setattr(request_started, "connect", lambda receiver, **_: connected.append(receiver))
    monkeypatch.setattr(celery_app, "find", lambda: Found(app=shop))
    bazaar.write(DAILY, "import nope_of_this_test")
    startup.run()
    assert [receiver() for receiver in connected] == [None]
    assert caplog.messages == [f'The job "{NAME}" cannot be imported: {MISSING}. Hint: {LOOK.format(NAME)}']


def test_commands__know_the_jobs_and_repeat_what_is_none(
    bazaar: Bazaar, shop: Any, run_command: Callable[..., Ran]
) -> None:
    bazaar.write(DAILY, job("DailyJob", "print('cleaned')"))
    bazaar.write("bazaar/jobs/daily/broken.py", "import nope_of_this_test")
    bazaar.project.found = Found(app=shop)
    bazaar.look(shop)
    broken = f'The job "bazaar.jobs.daily.broken" cannot be imported: {MISSING}.'
    ran, listed = run_command("runtask", "clean_up"), run_command("showtasks", "bazaar", "--json")
    assert (ran.code, ran.out) == (0, "null\n")
    assert [each["name"] for each in json.loads(listed.out)] == [NAME]
    assert (ran.err.splitlines()[0], json.loads(listed.err.splitlines()[0])["warning"]) == (broken, broken)
    assert [*entry_names(Line(prefix="", find_app=lambda name: shop))] == [NAME]


def test_commands__without_the_setting__name_it(
    bazaar: Bazaar, shop: Any, run_command: Callable[..., Ran], settings: Any
) -> None:
    settings.TASKTOOLS_JOBS = False
    bazaar.write(DAILY, job("DailyJob"))
    bazaar.write("bazaar/jobs/_clean.py", job("BaseJob"))
    bazaar.project.found = Found(app=shop)
    bazaar.look(shop)
    done = run_command("runtask", "clean_up")
    assert (done.code, done.err.splitlines()[-2]) == (2, 'No task is called "clean_up".')
    hint = (
        f"{bazaar.root / DAILY} is a job of django-extensions: TASKTOOLS_JOBS = True in the settings makes a task of it"
    )
    assert done.err.splitlines()[-1] == f"Hint: {hint}, called {NAME}"
    assert "is a job" not in run_command("runtask", "_clean").err


def test_broken_job__runserver_starts_again_when_it_is_fixed(
    bazaar: Bazaar, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, watched = Signal(), []
    monkeypatch.setattr(watching, "autoreload_started", started)
    bazaar.write(DAILY, "import nope_of_this_test")
    bazaar.join(shop)
    reloader = SimpleNamespace(watch_dir=lambda folder, glob: watched.append((folder, glob)))
    for _, receiver, *_ in started.receivers:
        receiver(sender=reloader)
    assert watched == [(bazaar.root / "bazaar/jobs/daily", "clean_up.py")]


def test_setting__of_a_wrong_kind(bazaar: Bazaar, shop: Any, settings: Any) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    settings.TASKTOOLS_JOBS = "daily"
    hint = 'TASKTOOLS_JOBS = True, or {"daily": crontab(minute=30, hour=4)}'
    assert bazaar.told(shop) == [("TASKTOOLS_JOBS is 'daily', which says nothing of jobs.", hint)]
    assert own(shop) == []


def test_schedule_that_is_none__is_left_to_its_check(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write(DAILY, job("DailyJob"))
    shop.conf.beat_schedule = ["wrong"]
    bazaar.join(shop)
    assert (shop.conf.beat_schedule, own(shop)) == (["wrong"], [NAME])
