"""Run Django's own tests of the Tasks framework against CeleryBackend: `make conformance`.

They are written for Django's two backends. Here `DummyBackend` is CeleryBackend on the private Valkey, where no worker runs, and
`ImmediateBackend` is CeleryBackend with CELERY_TASK_ALWAYS_EAGER. The tests themselves are unchanged.

    python -m tests.conformance [FOLDER]

FOLDER is an unpacked source distribution of Django; without it, that of the installed version is downloaded.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Any

import django
from django.conf import settings

_CHANGES_LIST = "it changes the list in which DummyBackend keeps its results, and expects that the result follows"

#: Tests that cannot pass with any backend but Django's own, and why. They are run all the same: one that passes is an error.
EXCEPTIONS = {
    "test_dummy_backend.DummyBackendTestCase.test_refresh_result": _CHANGES_LIST,
    "test_dummy_backend.DummyBackendTestCase.test_refresh_result_async": _CHANGES_LIST,
}


def source(folder: Path) -> Path:
    """Download the source distribution of the installed Django to a folder, and return where its tests are."""
    wanted = f"django=={django.__version__}"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        "django",
        "--dest",
        str(folder),
    ]
    subprocess.run([*pip, wanted], check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*/tests/tasks")).parent


def configure(folder: Path) -> None:
    """Make a site without any backend of its own; its private Valkey is in `folder`."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        BASE_DIR=folder,
        DEBUG=True,
        SECRET_KEY="tests",
        USE_TZ=True,
        INSTALLED_APPS=["tasktools"],
        DATABASES={"default": database},
        TASKTOOLS_LINGER="1s",
    )
    django.setup()


def replace_backends() -> None:
    """Put CeleryBackend where Django has its own backends."""
    from django.tasks.backends import dummy, immediate

    from tasktools.backend import CeleryBackend
    from tasktools.framework import store

    class Kept(CeleryBackend):
        """Keeps what was enqueued in a list too, at which the tests look."""

        def __init__(self, alias: str, params: dict[str, Any]) -> None:
            super().__init__(alias, params)
            self.results: list[Any] = []

        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            result = super().enqueue(task, args, kwargs)
            self.results.append(result)
            return result

        def clear(self) -> None:
            for result in self.results:
                store.forget(self._app.backend, result.id)
            self.results.clear()

    class Eager(CeleryBackend):
        def _is_eager(self) -> bool:
            return True

    dummy.DummyBackend, immediate.ImmediateBackend = Kept, Eager  # type: ignore[misc]


def run(tests: Path) -> int:
    """Run them, print how many passed and why the others did not; return the exit code."""
    from django.test.utils import get_runner

    sys.path.insert(0, str(tests))
    runner = get_runner(settings, "django.test.runner.DiscoverRunner")(verbosity=0, interactive=False)
    runner.setup_test_environment()
    suite = runner.build_suite(["tasks"])
    databases = runner.setup_databases(aliases=runner.get_databases(suite))
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(suite)
    runner.teardown_databases(databases)
    runner.teardown_test_environment()
    failed = {_name(test) for test, _ in [*result.failures, *result.errors]}
    print(
        f"Django {django.__version__}: {result.testsRun - len(failed)} of {result.testsRun} tests pass against CeleryBackend."
    )
    for name in sorted(failed):
        print(f"  {name}: {EXCEPTIONS.get(name, 'FAILED')}")
    passed = sorted(EXCEPTIONS.keys() - failed)
    print(*(f"  {name} passes: it is no exception any more" for name in passed), sep="\n", end="")
    return int(failed != EXCEPTIONS.keys())


def _name(test: Any) -> str:
    """Return the name of a test as EXCEPTIONS has it; of a subtest, that of its test."""
    return str(getattr(test, "test_case", test).id()).removeprefix("tasks.")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tt-", ignore_cleanup_errors=True) as folder:
        tests = Path(sys.argv[1]) / "tests" if len(sys.argv) > 1 else source(Path(folder))
        configure(Path(folder))
        replace_backends()
        return run(tests)


if __name__ == "__main__":
    sys.exit(main())
