"""Every command knows the tasks that a worker of the installed Celery knows, also those that no tasks module imports."""

from __future__ import annotations

import json

import pytest

from tests.e2e.test_layouts import APP
from tests.registries import COMMANDS, STOCK, Place
from tests.support import Site

SETTINGS = """
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
"""
URLS = "from django.urls import path\nfrom shop import views\nurlpatterns = [path('', views.index)]\n"
TASK = "from celery import shared_task\n@shared_task\ndef {name}(day: int = 1):\n    return day\n"

#: Imported by the URLconf alone, and by a template tag library alone.
OWN = {"shop.tasks.add", "shop.jobs.report", "shop.tagjobs.draw"}


@pytest.fixture
def shop(site: Site) -> Site:
    site.minimal("shop", settings=SETTINGS)
    site.write("mysite/celery.py", APP.format(settings="mysite.settings", name="mysite"))
    site.write("urls.py", URLS)
    site.write("shop/tasks.py", TASK.format(name="add"))
    site.write("shop/jobs.py", TASK.format(name="report"))
    site.write("shop/views.py", "from shop.jobs import report\ndef index(request): ...\n")
    site.write("shop/tagjobs.py", TASK.format(name="draw"))
    site.write("shop/tagviews.py", "from shop.tagjobs import draw\n")
    library = "from django import template\nfrom shop import tagviews\nregister = template.Library()\n"
    site.write("shop/templatetags/x.py", library)
    return site


def test_registries__of_every_command_are_the_stock_worker_s(shop: Site) -> None:
    scratch = shop.root / "scratch"
    scratch.mkdir()
    found = dict(Place(folder=shop.root, settings="mysite.settings", app="mysite", scratch=scratch).registries())
    assert {name for name in found[STOCK] if not name.startswith("celery.")} == OWN
    assert set(found) == {STOCK, *COMMANDS, "showtasks", "enqueue", "completion", "check"}
    assert {command: names ^ found[STOCK] for command, names in found.items()} == {key: set() for key in found}


def test_ready_made_app__that_is_named_has_them_too(shop: Site) -> None:
    shown = shop.manage("showtasks", "-A", "tasktools", "--json")
    assert {task["name"] for task in json.loads(shown.stdout)} == OWN


def test_celery_skip_checks__is_obeyed_by_all(shop: Site) -> None:
    shop.write("shop/views.py", "1 / 0\n")
    env = {"CELERY_SKIP_CHECKS": "1"}
    assert [task["name"] for task in json.loads(shop.manage("showtasks", "--json", env=env).stdout)] == [
        "shop.tasks.add"
    ]
    assert "| 1 task\n" in shop.start_worker(env=env).output


def test_enqueue__says_that_it_loads_more_where_a_name_is_not_found(shop: Site) -> None:
    known = shop.manage("enqueue", "add", "2", "--dry-run")
    assert (known.returncode, known.stderr) == (0, "")
    shop.write("shop/views.py", "print('views')\nfrom shop.jobs import report\ndef index(request): ...\n")
    found = shop.manage("enqueue", "report", "2", "--dry-run")
    assert found.returncode == 0
    assert '"shop.jobs.report"' in found.stdout
    assert "views" not in found.stdout
    assert found.stderr.splitlines() == [
        'No tasks module has "report": loading the URLconf and the template tags, as a worker does.',
        "views",
    ]


def test_broken_urlconf__is_one_sentence(shop: Site) -> None:
    shop.write("shop/views.py", "1 / 0\n")
    sentence = "The system checks cannot be run: ZeroDivisionError: division by zero."
    shown = shop.manage("showtasks", "--json")
    assert (shown.returncode, '"shop.tasks.add"' in shown.stdout) == (2, True)
    assert sentence in shown.stderr
    unknown = shop.manage("enqueue", "nosuch")
    assert (unknown.returncode, unknown.stderr.splitlines()[1]) == (2, sentence)
    assert "Traceback" not in unknown.stderr
    refused = shop.manage("runworker", "--noreload")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, sentence)
    started = shop.start_worker("--skip-checks")
    assert sentence in started.output
