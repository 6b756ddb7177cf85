"""A process that the fork server makes is measured as one that Python starts."""

from __future__ import annotations

import sys
from pathlib import Path

import coverage
import pytest

from tests.fork_server import ForkServer
from tests.support import Site

CODE = """
import coverage, sys

measured = coverage.Coverage.current()
print(measured is not None, "tasktools" in sys.modules)
import tasktools.exceptions
if measured:
    measured.stop()
    lines = measured.get_data().lines(tasktools.exceptions.__file__)
    print(len(lines or []) > 5)
"""


@pytest.mark.parametrize("measured", [True, False])
def test_coverage__starts_before_tasktools_where_it_is_asked_for(
    fork_server: ForkServer | None, tmp_path: Path, measured: bool
) -> None:
    if fork_server is None:
        pytest.skip("the fork server needs sockets of Linux")
    wanted = coverage.Coverage(data_file=str(tmp_path / "data"), source=["tasktools"]).config.serialize()
    asked = {"COVERAGE_PROCESS_CONFIG": wanted}
    with Site(tmp_path, measured=measured, fork_server=fork_server, environment=asked if measured else {}) as site:
        command = (sys.executable, "-c", CODE)
        assert site._can_be_forked(command, site.variables())
        done = site.run(*command)
    assert done.stdout.split() == (["True", "False", "True"] if measured else ["False", "False"]), done.stderr
