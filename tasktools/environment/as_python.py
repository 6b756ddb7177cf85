"""Run a command line in this process as Python would: for scripts that prepare the process first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence


def command(script: str, arguments: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return the command line `words` (Python, its options, and what it runs) in a form that runs `script` first."""
    first = next((n for n, word in enumerate(words) if n and not word.startswith(("-W", "-X"))), len(words))
    return [*words[:first], os.path.abspath(script), *arguments, *words[first:]]


def run(words: list[str], *, prepared_by: str, first: Callable[[], None]) -> None:
    """Run a script or `-m MODULE`, and its words; call `first` before, with the path for imports that these get.

    `prepared_by` is the script whose folder Python has put into sys.path.
    """
    module = words[0] == "-m"
    del words[:module]
    here = os.path.dirname(os.path.abspath(prepared_by))
    if sys.path and os.path.abspath(sys.path[0]) == here:  # not with Python's option -P
        sys.path[0] = os.getcwd() if module else os.path.dirname(os.path.realpath(words[0]))
    first()
    sys.argv[:] = words
    import runpy  # after a process is patched

    if module:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")
