"""Tasks that nothing imports: they are found in the files, and the hint says what imports them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import AppConfig, apps

from tasktools.discovery import sources, unimported
from tasktools.discovery.unimported import find

TASK = "from celery import shared_task\n\n@shared_task\ndef {name}(): ...\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    """A project with the app `lost_shop` and the package of settings `lost_site`."""
    monkeypatch.chdir(tmp_path)
    for name in ("lost_shop", "lost_site"):
        (tmp_path / name).mkdir()
        module = ModuleType(name)
        module.__path__ = [str(tmp_path / name)]
        monkeypatch.setitem(sys.modules, name, module)
    config = AppConfig("lost_shop", sys.modules["lost_shop"])
    monkeypatch.setattr(apps, "app_configs", {"lost_shop": config})
    settings.TASKTOOLS_JOBS = False
    settings.SETTINGS_MODULE = "lost_site.settings"
    return tmp_path


def hint(name: str = "", what: str = "it") -> str:
    found = find(name)
    assert found is not None
    return found.hint(what)


@pytest.mark.parametrize("name", ["", "job", "jobs.job", "lost_shop.jobs.job"])
def test_find__in_a_module_of_an_app(site: Path, name: str) -> None:
    (site / "lost_shop/jobs.py").write_text(TASK.format(name="job"))
    assert hint(name) == (
        "lost_shop/jobs.py defines it, and nothing imports that file: "
        'CELERY_IMPORTS = ["lost_shop.jobs"] in the settings, or import it in lost_shop.tasks'
    )


def test_find__in_tasks_of_an_app_that_does_not_discover_them(site: Path) -> None:
    (site / "lost_shop/tasks.py").write_text(TASK.format(name="job"))
    assert hint("job") == (
        "lost_shop/tasks.py defines it, and the Celery app does not import it: call app.autodiscover_tasks()"
    )


def test_find__beside_the_settings(site: Path) -> None:
    (site / "lost_site/tasks.py").write_text(TASK.format(name="job"))
    assert hint("job") == (
        'lost_site/tasks.py defines it, and "lost_site" is no installed app: '
        'CELERY_IMPORTS = ["lost_site.tasks"] in the settings'
    )


@pytest.mark.parametrize("package", ["parked", "sites.parked"])
def test_find__in_an_app_that_is_not_installed(site: Path, package: str) -> None:
    folder = site / package.replace(".", "/")
    folder.mkdir(parents=True)
    (folder / "tasks.py").write_text(TASK.format(name="job"))
    path = f"{package.replace('.', '/')}/tasks.py"
    assert hint("job") == f'{path} defines it, and "{package}" is no installed app: add "{package}" to INSTALLED_APPS'


def test_find__beside_the_settings_not_what_is_imported_or_no_package(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("parked", "no-package"):
        (site / folder).mkdir()
        (site / folder / "tasks.py").write_text(TASK.format(name="job"))
    assert hint("job").startswith("parked/tasks.py")
    monkeypatch.setitem(sys.modules, "parked.tasks", ModuleType("parked.tasks"))
    assert find("job") is None


def test_find__without_a_package_of_settings(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules["lost_site"], "__path__")
    assert find("job") is None


def test_find__in_an_installed_app_that_is_a_package_of_python(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are not read as those of the project, but it is beside the settings, which are installed too."""
    (site / "sites/parked").mkdir(parents=True)
    (site / "sites/parked/tasks.py").write_text(TASK.format(name="job"))
    monkeypatch.setattr(sources, "is_own", lambda config: False)
    module = ModuleType("sites.parked")
    module.__path__ = [str(site / "sites/parked")]
    monkeypatch.setitem(apps.app_configs, "parked", AppConfig("sites.parked", module))
    assert hint("job") == (
        "sites/parked/tasks.py defines it, and the Celery app does not import it: call app.autodiscover_tasks()"
    )
    del apps.app_configs["parked"]
    assert hint("job").endswith('add "sites.parked" to INSTALLED_APPS')
    monkeypatch.setitem(apps.app_configs, "other", AppConfig("sites.other", module))
    assert hint("job").endswith('CELERY_IMPORTS = ["sites.parked.tasks"] in the settings')


def test_find__in_a_package_inside_an_app(site: Path) -> None:
    """autodiscover_tasks() does not import it."""
    (site / "lost_shop/sub").mkdir()
    (site / "lost_shop/sub/tasks.py").write_text(TASK.format(name="job"))
    assert hint("job") == (
        'lost_shop/sub/tasks.py defines it, and "lost_shop.sub" is no installed app: '
        'CELERY_IMPORTS = ["lost_shop.sub.tasks"] in the settings'
    )
    assert hint(what="tasks").startswith("lost_shop/sub/tasks.py defines tasks, and ")


def test_find__in_a_package_of_tasks(site: Path) -> None:
    (site / "lost_shop/tasks").mkdir()
    (site / "lost_shop/tasks/email.py").write_text(TASK.format(name="job"))
    assert hint("job").endswith(
        'CELERY_IMPORTS = ["lost_shop.tasks.email"] in the settings, or import it in lost_shop.tasks'
    )


@pytest.mark.parametrize("name", ["tests.py", "test_jobs.py", "conftest.py", "__init__.py", "sub/__init__.py"])
def test_find__not_in_files_that_hold_no_tasks(site: Path, name: str) -> None:
    (site / "lost_shop/sub").mkdir()
    (site / "lost_shop" / name).write_text(TASK.format(name="job"))
    assert find("job") is None


@pytest.mark.filterwarnings("error")
def test_find__a_file_that_python_warns_of(site: Path) -> None:
    (site / "lost_shop/jobs.py").write_text('pattern = "\\d"\n' + TASK.format(name="job"))
    assert find("job") is not None


@pytest.mark.parametrize(
    "decorator", ['@shared_task(name="a.b")', '@app.task(bind=True, name="a.b")', '@celery_app.task(name="a.b")']
)
def test_find__by_the_name_that_the_task_has(site: Path, decorator: str) -> None:
    (site / "lost_shop/deep").mkdir()
    (site / "lost_shop/deep/jobs.py").write_text(f"{decorator}\nasync def job(): ...\n")
    found = find("a.b")
    assert found is not None
    assert found.module == "lost_shop.deep.jobs"
    assert find("job") is None


@pytest.mark.parametrize(
    "text",
    [
        "def job(): ...\n",
        "@property\ndef job(): ...  # a task\n",
        "@shared_task\ndef job(:\n",
        "@shared_task(name=NAME)\ndef other(): ...\n",
        "from django.tasks import task\n@task\ndef job(): ...\n",
        "from invoke import task as t, task\n@task()\ndef job(): ...\n",
        "import huey\n@huey.task()\ndef job(): ...\n",
        "import huey as h\n@h.task()\ndef job(): ...\n",
        "import huey.api\n@huey.task()\ndef job(): ...\n",
        "@shared_task\ndef other(): ...\n@cache\ndef job(): ...\n",
        "\0 task",
    ],
)
def test_find__what_is_no_task(site: Path, text: str) -> None:
    (site / "lost_shop/jobs.py").write_text(text)
    assert find("job") is None


@pytest.mark.parametrize("library", unimported._OTHERS)
def test_find__not_the_task_of_another_library(site: Path, library: str) -> None:
    (site / "lost_shop/jobs.py").write_text(f"from {library}.sub import task\n@task\ndef job(): ...\n")
    assert find("job") is None
    (site / "lost_shop/jobs.py").write_text(f"from {library}s import task\nfrom . import x\n@task\ndef job(): ...\n")
    assert find("job") is not None


def test_find__a_name_that_is_no_text_is_none(site: Path) -> None:
    (site / "lost_shop/jobs.py").write_text("@shared_task(name=5)\ndef job(): ...\n")
    assert find("jobs.job") is not None


@pytest.mark.parametrize("folder", ["migrations", "tests", "node_modules", "example", "examples", ".venv", "a-b"])
def test_find__not_in_folders_that_hold_no_tasks(site: Path, folder: str) -> None:
    (site / "lost_shop" / folder).mkdir()
    (site / "lost_shop" / folder / "jobs.py").write_text(TASK.format(name="job"))
    assert find("job") is None


def test_find__not_what_is_imported_or_installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "lost_shop/jobs.py").write_text(TASK.format(name="job"))
    with monkeypatch.context() as patch:
        patch.setattr(sources, "is_own", lambda config: False)
        assert find("job") is None
    assert find("job") is not None
    monkeypatch.setitem(sys.modules, "lost_shop.jobs", ModuleType("lost_shop.jobs"))
    assert find("job") is None


def test_find__of_two_none(site: Path) -> None:
    for name in ("one", "two"):
        (site / f"lost_shop/{name}.py").write_text(TASK.format(name="job"))
    assert find("job") is None
    assert hint("two.job").startswith("lost_shop/two.py")


def test_find__of_many_files_only_the_first_are_read(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (site / f"lost_shop/{name}.py").write_text(TASK.format(name=name))
    monkeypatch.setattr(sources, "MOST_FILES", 1)
    assert find("one")
    assert find("two") is None


JOB = "from django_extensions.management.jobs import DailyJob\nclass Job(DailyJob):\n    def execute(self): ...\n"


def write_job(site: Path, name: str, text: str = JOB) -> None:
    (site / "lost_shop/jobs/daily").mkdir(parents=True, exist_ok=True)
    (site / "lost_shop/jobs/daily" / f"{name}.py").write_text(text)


@pytest.mark.parametrize(
    "text", [JOB, "from .other import Other as Job\n", "try:\n    Job = make()\nexcept ValueError: ...\n"]
)
def test_find__a_job_of_django_extensions(site: Path, text: str) -> None:
    write_job(site, "mailing", text)
    assert hint("mailing").startswith("lost_shop/jobs/daily/mailing.py is a job of django-extensions: TASKTOOLS_JOBS")


@pytest.mark.parametrize(
    "text", ["def helper(): ...\n", "class Jobs: ...\n", "def make():\n    class Job: ...\n", "class (\n"]
)
def test_find__a_helper_beside_the_jobs_is_none(site: Path, text: str) -> None:
    write_job(site, "mailing", text)
    assert find("mailing") is None


def test_find__a_task_in_a_file_of_jobs_that_has_its_name(site: Path) -> None:
    """Both ended in "mailing": neither was hinted at."""
    write_job(site, "mailing", JOB + TASK.format(name="mailing"))
    assert hint("mailing").startswith("lost_shop/jobs/daily/mailing.py defines it, and nothing imports that file")
    write_job(site, "other", TASK.format(name="mailing"))
    assert find("mailing") is None


def test_find__an_app_that_is_called_jobs_has_modules_of_its_own(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_job(site, "mailing")
    module = ModuleType("lost_shop.jobs")
    module.__path__ = [str(site / "lost_shop/jobs")]
    configs = {**apps.app_configs, "jobs": AppConfig("lost_shop.jobs", module)}
    monkeypatch.setattr(apps, "app_configs", configs)
    assert find("mailing") is None
