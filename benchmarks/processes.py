"""Processes and their descendants, by `ps`, which every Unix has.

A reloader starts its workers in sessions of their own, so that killing its process group does not end them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable


def family(pid: int) -> dict[int, int]:
    """Return the process `pid` and its descendants, each with its process group."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = {each: group for each, _, group in rows if each == pid}
    grown = -1
    while grown != len(found):
        grown = len(found)
        found |= {each: group for each, parent, group in rows if parent in found}
    return found


def groups(pid: int) -> set[int]:
    """Return the process groups of a process and its descendants."""
    return set(family(pid).values()) - {os.getpgrp()}


def kill(known: Iterable[int]) -> None:
    """Kill what is left of process groups."""
    for group in known:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
