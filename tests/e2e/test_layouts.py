"""Where projects keep their Celery app: each layout on disk, with a real worker, and without -A."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest

from tests.support import TASKS, Site

APP = """
import os
from celery import Celery
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
app = Celery("{name}")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""

READY = """
from django.apps import AppConfig

class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from shop import celery
"""

SUBCLASS = """
from celery import Celery

class Queues(Celery):
    def gen_task_name(self, name, module):
        return super().gen_task_name(name, module.removesuffix(".tasks"))

queues = Queues("special")
queues.config_from_object("django.conf:settings", namespace="CELERY")
queues.autodiscover_tasks()
"""


@dataclass(frozen=True)
class Layout:
    id: str
    settings: str
    found: str
    files: dict[str, str] = field(default_factory=dict)
    task: str = "shop.tasks.add"


LAYOUTS = [
    Layout("none", "mysite.settings", "tasktools.celery:app"),
    Layout(
        "beside_the_settings",
        "mysite.settings",
        "mysite.celery:app",
        {
            "mysite/celery.py": APP.format(settings="mysite.settings", name="mysite"),
            "mysite/__init__.py": "from .celery import app as celery_app\n",
        },
    ),
    Layout(
        "beside_the_settings_and_never_imported",
        "mysite.settings",
        "mysite.celery:app",
        {"mysite/celery.py": APP.format(settings="mysite.settings", name="mysite")},
    ),
    Layout(
        "config_celery_app",
        "config.settings.local",
        "config.celery_app:app",
        {
            "config/celery_app.py": APP.format(settings="config.settings.local", name="site"),
            "config/__init__.py": "from .celery_app import app as celery_app\n",
        },
    ),
    Layout(
        "imported_in_ready",
        "mysite.settings",
        "shop.celery:app",
        {"shop/celery.py": APP.format(settings="mysite.settings", name="shop"), "shop/apps.py": READY},
    ),
    Layout(
        "deep",
        "pkg.sub.conf.settings",
        "pkg.sub.celery:app",
        {"pkg/sub/celery.py": APP.format(settings="pkg.sub.conf.settings", name="deep")},
    ),
    Layout("subclass", "mysite.settings", "mysite.celery:queues", {"mysite/celery.py": SUBCLASS}, task="shop.add"),
    Layout(
        "settings_module_is_no_package",
        "mysite_config",
        "shop.celery:app",
        {"shop/celery.py": APP.format(settings="mysite_config", name="shop")},
    ),
]


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.id)
def layout(request: pytest.FixtureRequest) -> Layout:
    found: Layout = request.param
    return found


def build(site: Site, layout: Layout) -> Site:
    site.settings_module = layout.settings
    site.minimal()
    for path, text in layout.files.items():
        site.write(path, text)
    return site


def test_layout__is_found_by_a_worker_and_by_enqueue(site: Site, layout: Layout) -> None:
    build(site, layout)
    worker = site.start_worker()
    assert f"(-A {layout.found})" in worker.output.splitlines()[0]
    done = site.manage("enqueue", "add", "2", "2", "--wait")
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr
    assert f" {layout.task}\n" in done.stderr


def test_layout__delay_in_a_plain_script_reaches_the_worker(site: Site, layout: Layout) -> None:
    """What a web process does: django.setup() and .delay(), from a thread that has not set the app up."""
    build(site, layout)
    site.start_worker()
    script = (
        "import django, threading; django.setup(); from shop.tasks import add\n"
        "def view(): print(add.delay(20, 22).get(timeout=60))\n"
        "thread = threading.Thread(target=view); thread.start(); thread.join()"
    )
    done = site.run(sys.executable, "-c", script, env={"DJANGO_SETTINGS_MODULE": layout.settings})
    assert done.stdout == "42\n", done.stderr


def test_several_apps__are_listed_and_the_setting_chooses(site: Site) -> None:
    site.minimal(settings="import os\nTASKTOOLS_APP = os.environ.get('CHOSEN')")
    text = (
        'from celery import Celery\none = Celery("one", broker="memory://")\ntwo = Celery("two", broker="memory://")\n'
    )
    site.write("mysite/celery.py", text)
    refused = site.manage("showtasks")
    assert refused.returncode == 2
    assert refused.stderr == (
        "This project has 2 Celery apps: mysite.celery:one, mysite.celery:two.\n"
        'Hint: choose one with -A, or in the settings: TASKTOOLS_APP = "mysite.celery:one"\n'
    )
    checked = site.manage("check")
    assert (checked.returncode, "tasktools.W003" in checked.stderr) == (0, True)
    chosen = site.manage("showtasks", "--json", env={"CHOSEN": "mysite.celery:two"})
    assert chosen.returncode == 0, chosen.stderr
    assert site.manage("showtasks", "-A", "mysite.celery:one").returncode == 0


def test_fallback_app__made_by_accident_is_never_used(site: Site) -> None:
    """A module that asks Celery for its current app before there is one makes the fallback app, on amqp://localhost."""
    site.minimal()
    site.write("shop/models.py", "from celery import current_app\ncurrent_app.conf.timezone\n")
    site.start_worker()
    script = "import django; django.setup(); from shop.tasks import add; print(add.app.main, add.delay(1, 1).get(timeout=60))"
    done = site.run(sys.executable, "-c", script, env={"DJANGO_SETTINGS_MODULE": "mysite.settings"})
    assert done.stdout == "mysite 2\n", done.stderr


BAD_NAMES = [
    ("nosuch", '-A names "nosuch", and there is no module "nosuch".'),
    ("mysite.nosuch:app", '-A names "mysite.nosuch:app", and there is no module "mysite.nosuch".'),
    ("mysite.settings", '-A names "mysite.settings", which holds no Celery app.'),
    ("mysite.settings:DEBUG", '-A names "mysite.settings:DEBUG", which is a bool, not a Celery app.'),
    ("raising", 'The module "raising" cannot be imported: RuntimeError: not today.'),
    (
        "raising_attribute",
        "The module \"raising_attribute\" cannot be imported: AttributeError: module 'os' has no attribute 'nothing'.",
    ),
    ("importing", "The module \"importing\" cannot be imported: ModuleNotFoundError: No module named 'not_installed'."),
    ("..", '-A names "..", which is no module name.'),
]


@pytest.mark.parametrize(("name", "sentence"), BAD_NAMES, ids=[name for name, _ in BAD_NAMES])
def test_app_option__that_leads_to_no_app(site: Site, name: str, sentence: str) -> None:
    site.minimal()
    site.write("raising.py", "raise RuntimeError('not today')\n")
    site.write("raising_attribute.py", "import os\nos.nothing\n")
    site.write("importing.py", "import not_installed\n")
    done = site.manage("showtasks", "-A", name)
    assert (done.stderr.splitlines()[0], done.returncode) == (sentence, 2)
    assert done.stderr.splitlines()[1].startswith("Hint: ")


def test_broken_tasks_module__is_named_by_check_enqueue_and_worker(site: Site) -> None:
    site.minimal("shop", "good")
    site.write("good/tasks.py", TASKS)
    site.write("shop/tasks.py", "def broken(:\n")
    path = site.root / "shop" / "tasks.py"
    sentence = f'The module "shop.tasks" cannot be imported: SyntaxError: invalid syntax ({path}, line 1).'
    checked = site.manage("check")
    assert checked.returncode == 0  # `migrate` must run where tasks cannot be imported yet
    assert f"(tasktools.W002) {sentence}" in checked.stderr
    refused = site.manage("enqueue", "multiply", "2", "2")
    assert (refused.stderr.splitlines()[0], refused.returncode) == (sentence, 2)
    worker = site.manage("runworker", "--noreload")
    assert (worker.stderr.splitlines()[-2], worker.returncode) == (sentence, 2)
    known = site.manage("enqueue", "good.add", "2", "2", "--dry-run")
    assert (known.stderr.splitlines()[0], known.returncode) == (sentence, 0)
