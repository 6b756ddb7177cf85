"""A text in the editor of the person: $VISUAL or $EDITOR."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasktools.arguments.names import shown
from tasktools.exceptions import UsageError

#: What is started if neither is set.
USUAL = "vi"


def edit(text: str) -> str:
    """Return the text as the person leaves it. Nobody else may read its file. Raises UsageError."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or USUAL
    handle, name = tempfile.mkstemp(prefix="arguments-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            with _keys_are_the_editors():
                code = subprocess.run([*shlex.split(command), name], check=False).returncode
        except (OSError, ValueError) as error:
            hint = "set EDITOR to one that is installed"
            raise UsageError(f'The editor "{shown(command)}" cannot be started: {error}.', hint=hint) from error
        if code:
            raise UsageError(f'The editor "{shown(command)}" ended with {code}.', hint="nothing was sent")
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"What the editor has written cannot be read: {error}.", hint="nothing was sent"
            ) from error
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _keys_are_the_editors() -> Iterator[None]:
    """Leave Ctrl+C and Ctrl+\\ to the editor: if this process ended by them, what was typed would be lost.

    Handlers that do nothing, because the editor would inherit that signals are ignored. Outside the main thread,
    nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGQUIT)}
    try:
        for signum, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(signum, lambda *_: None)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
