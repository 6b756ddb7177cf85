"""Ctrl-C before a command has begun: while Django and the project are imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

_COMMANDS = Path(__file__).parent / "management" / "commands"


def end_quietly(argv: Sequence[str]) -> None:
    """Have a Ctrl-C end a process that runs one of our commands without a traceback.

    From then on; what is imported earlier is the project's. Python still ends by SIGINT, which a shell counts as 130.
    """
    if not _is_ours(argv) or "--traceback" in argv:
        return
    show = sys.excepthook

    def show_others(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            show(kind, error, traceback)

    sys.excepthook = show_others


def _is_ours(argv: Sequence[str]) -> bool:
    word = argv[1] if len(argv) > 1 else ""
    return word.isidentifier() and (_COMMANDS / f"{word}.py").is_file()
