"""A celery.py beside manage.py: the commonest slip of all."""

from __future__ import annotations

import json

import pytest

from tests.support import Site

pytestmark = pytest.mark.fresh

#: The admin comes first in most sites, and so it imports what it finds before tasktools is ready.
ADMIN = [f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "messages", "sessions")]


def test_shadowing__the_site_goes_on_and_each_command_names_the_file(site: Site) -> None:
    site.minimal()
    site.write("celery.py", "from celery import Celery\napp = Celery('mysite')\n")
    sentence = f'"{site.root / "celery.py"}" hides the library celery: Python imports it in its place.'
    hint = "give it another name, or move it into a package of the project (proj/celery.py)"
    migrated = site.manage("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert f"?: (tasktools.W002) {sentence}\n\tHINT: {hint}" in migrated.stderr
    for words in (("enqueue", "add", "1", "2"), ("runworker",), ("help", "taskresult")):
        done = site.manage(*words)
        assert (done.returncode, done.stderr, done.stdout) == (2, f"{sentence}\nHint: {hint}\n", "")
    listed = site.manage("help")
    assert (listed.returncode, "[tasktools]" in listed.stdout) == (0, True), listed.stderr
    assert json.loads(site.manage("showtasks", "--json").stderr) == {"error": sentence, "hint": hint}
    called = site.manage(
        "shell", "-c", "from django.core.management import call_command; call_command('enqueue', 'add')"
    )
    assert f"CommandError: {sentence}" in called.stderr


@pytest.mark.parametrize("path", ["redis.py", "django_extensions/__init__.py"])
def test_shadowing__a_library_that_is_needed_later(site: Site, path: str) -> None:
    site.minimal("shop")
    site.write("shop/tasks.py", "from celery import shared_task\n@shared_task\ndef add(x, y): return x + y\n")
    site.write(path)
    done = site.manage("enqueue", "add", "1", "2")
    name = path.partition("/")[0]
    sentence = f'"{site.root / name}" hides the library {name.partition(".")[0]}: Python imports it in its place.'
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, sentence)
    assert "Traceback" not in done.stderr


def test_shadowing__a_site_with_the_admin_starts_without_the_pages_of_tasktools(site: Site) -> None:
    site.minimal()
    settings = site.root / "mysite/settings.py"
    settings.write_text(f"{settings.read_text()}\nINSTALLED_APPS = [*{ADMIN!r}, *INSTALLED_APPS]\n")
    site.write("celery.py", "from celery import Celery\napp = Celery('mysite')\n")
    asked = "from django.contrib import admin; print(sorted(each.__name__ for each in admin.site._registry))"
    done = site.manage("shell", "--no-imports", "-c", asked)
    assert (done.returncode, done.stdout) == (0, "['Group', 'User']\n"), done.stderr
    assert "Traceback" not in done.stderr
    (site.root / "celery.py").unlink()
    assert (
        site.manage("shell", "--no-imports", "-c", asked).stdout == "['FailedTask', 'Group', 'TaskOverview', 'User']\n"
    )
