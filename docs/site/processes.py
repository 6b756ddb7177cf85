"""A command that is run to its end, or to a limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from docs.site.pages import Fault


def run(
    command: Sequence[str], what: str, limit: float, *, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a session of its own, and return how it ended.

    Raises Fault after `limit` seconds; the command and all that it has started are killed then.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            printed, errors = process.communicate(timeout=limit)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Fault(f"{what} has not ended after {limit:g} s.") from None
            raise
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)
