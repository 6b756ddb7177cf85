"""What the checks of tasktools add to `manage.py check` of a site of 300 tasks in 30 modules and 100 entries, in seconds.

    python -m benchmarks.checks_cost [--pairs N]

Two copies of one project. In the second, an app takes the checks of tasktools out of Django's list again. No server is
asked by either.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.common import PYTHON, folder, make_project, timed
from benchmarks.report import Side, Target, interleave, parser, report_difference

TARGET = Target(limit=0.05, unit="s")

MODULES, TASKS, ENTRIES = 30, 10, 100

SETTINGS = f"""\
from celery.schedules import crontab

CELERY_BROKER_URL = "redis://localhost:6379/0"
CELERY_BEAT_SCHEDULE = {{
    f"entry {{n}}": {{
        "task": f"app{{n % {MODULES}}}.tasks.task{{n % {TASKS}}}",
        "schedule": crontab(minute=n % 60, hour="*/3") if n % 2 else 3600 + n,
        "args": (n, "text"),
        "options": {{"expires": 600}},
    }}
    for n in range({ENTRIES})
}}
"""

HEAD = """\
from celery import shared_task
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction

"""

TASK = '''
@shared_task(bind=True, max_retries=3)
def task{number}(self, key: int, word: str = "", *, again: bool = False) -> int:
    """Do what a task does."""
    user = User.objects.filter(pk=key).first()
    options = {{"word": word}}
    if cache.get(key) and user is not None:
        with transaction.atomic():
            user.first_name = options.get("word", "")
            user.save()
            transaction.on_commit(lambda: task{number}.delay(key, word))
    if again:
        raise self.retry(countdown=60)
    return key
'''

#: What three of the modules do besides, so that their files are parsed.
MORE = """

def book(key):
    with transaction.atomic():
        User.objects.filter(pk=key).update(first_name="")
    task0.delay(key)
"""

#: An app whose config, at the end of INSTALLED_APPS, takes the checks out.
WITHOUT = """\
from django.apps import AppConfig


class Config(AppConfig):
    name = "without"

    def ready(self):
        from django.core.checks.registry import registry
        from tasktools import checks

        for each in (registry.registered_checks, registry.deployment_checks):
            each -= {checks.check, checks.check_deploy}
"""


def main() -> int:
    """Measure, print, and return the exit code."""
    pairs = parser(__doc__).parse_args().pairs
    command = [PYTHON, "manage.py", "check"]
    with folder() as root:
        checked, bare = _site(root / "with", []), _site(root / "without", ["without"])
        ours = Side(name="with the checks", sample=lambda: timed(command, checked))
        without = Side(name="without them", sample=lambda: timed(command, bare))
        interleave([ours, without], pairs)
    return 0 if report_difference("manage.py check of 300 tasks and 100 entries", ours, without, TARGET, "s") else 1


def _site(root: Path, more: list[str]) -> Path:
    names = [f"app{number}" for number in range(MODULES)]
    make_project(root, [*names, "tasktools", *more], SETTINGS)
    for name in names:
        (root / name).mkdir()
        (root / name / "__init__.py").touch()
        (root / name / "tasks.py").write_text(HEAD + "".join(TASK.format(number=number) for number in range(TASKS)))
    for name in names[::10]:
        with (root / name / "tasks.py").open("a") as file:
            file.write(MORE)
    for name in more:
        (root / name).mkdir()
        (root / name / "__init__.py").touch()
        (root / name / "apps.py").write_text(WITHOUT)
    return root


if __name__ == "__main__":
    sys.exit(main())
