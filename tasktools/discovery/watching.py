"""Modules of the project that cannot be imported: runserver starts again when they are fixed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from django.utils.autoreload import autoreload_started


def restart_when_fixed(module: str) -> None:
    """Make runserver restart when the broken module is fixed: runserver watches only imported modules."""

    def watch(sender: Any, **_: Any) -> None:
        spec = importlib.util.find_spec(module)
        if spec and spec.origin:
            sender.watch_dir(Path(spec.origin).parent, Path(spec.origin).name)

    autoreload_started.connect(watch, weak=False)
