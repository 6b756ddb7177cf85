"""A Wagtail site whose TASKS goes from the backend of django-tasks-db to ours by one line.

Wagtail sends its tasks (the index of references, files to delete) by the Tasks framework, and knows neither of the two backends.
The script makes a site, publishes pages and deletes a document with the first backend and its own `db_worker`, changes the line,
and does the same with `runworker`. Of both it prints what the index of references has, and which files are left.

    python -m venv wagtail-venv
    wagtail-venv/bin/pip install -e '.[dev]' 'django>=6.1,<6.2' wagtail django-tasks-db
    wagtail-venv/bin/python -m benchmarks.wagtail_site
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATABASE, OURS = "django_tasks_db.DatabaseBackend", "tasktools.backend.CeleryBackend"

SETTINGS = """
from .base import *
DEBUG = True
SECRET_KEY = "x"
INSTALLED_APPS += ["django_tasks_db", "tasktools"]
TASKS = {"default": {"BACKEND": "BACKEND_PATH"}}
MEDIA_ROOT = BASE_DIR / "media"
"""

#: A page of the site's own has a text, so that it can link to another page.
MODELS = """
from wagtail.fields import RichTextField
from wagtail.models import Page

class HomePage(Page):
    body = RichTextField(blank=True)
"""

#: A page with a link to another one, which the index of references has to find, and a document that is deleted with its file.
EDIT = """
import os, time
from django.core.files.base import ContentFile
from home.models import HomePage
from wagtail.documents.models import Document
from wagtail.models import ReferenceIndex

home = HomePage.objects.first()
page = home.add_child(instance=HomePage(title="Page"))
link = f'<p><a linktype="page" id="{page.pk}">there</a></p>'
home.add_child(instance=HomePage(title="Other page", body=link))
document = Document.objects.create(title="gone", file=ContentFile(b"text", name="gone.txt"))
path = document.file.path
document.delete()
found, began = (0, True), time.monotonic()
while found != (1, False) and time.monotonic() < began + 30:
    found = ReferenceIndex.get_references_to(page).count(), os.path.exists(path)
    time.sleep(0.05)
print(f"references to the page: {found[0]}; the file of the deleted document is left: {found[1]}", end="; ")
print(f"{time.monotonic() - began:.1f} s")
"""


class Site:
    """The site in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        start: list[Any] = [Path(sys.executable).with_name("wagtail"), "start", "mysite", str(root)]
        if not start[0].exists():
            sys.exit(f"{start[0]} is not there: this runs in a virtual environment with Wagtail.\n\n{__doc__}")
        subprocess.run(start, check=True, capture_output=True)
        (root / "home/models.py").write_text(MODELS)

    def use(self, backend: str) -> None:
        (self.root / "mysite/settings/dev.py").write_text(SETTINGS.replace("BACKEND_PATH", backend))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(self.root / "manage.py"), *words]

    def run(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def worker(self, *words: str) -> Iterator[None]:
        with (self.root / f"{words[0]}.log").open("w") as log:
            process = subprocess.Popen(self.command(*words), cwd=self.root, stdout=log, stderr=log)
            try:
                yield
            finally:
                process.terminate()
                process.wait(30)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tt-", ignore_cleanup_errors=True) as folder:
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        site = Site(Path(folder))
        site.use(DATABASE)
        site.run("makemigrations", "home")
        site.run("migrate")
        for backend, worker in ((DATABASE, ("db_worker",)), (OURS, ("runworker", "--noreload", "-c", "1"))):
            site.use(backend)
            problems = site.run("check").strip()
            with site.worker(*worker):
                print(f"{backend}: {problems}\n  {site.run('shell', '-v', '0', '-c', EDIT).strip()}")
        print(site.run("showtasks"))


if __name__ == "__main__":
    main()
