"""Where beat keeps its schedule, and why it cannot keep it there."""

from __future__ import annotations

import errno
import hashlib
import os
import shelve
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from tasktools.exceptions import PrivateServerError, tried
from tasktools.valkey.folders import make_private, runtime_folder

T = TypeVar("T")


def schedule_file(configured: str, places: Iterable[Path]) -> Path | None:
    """Return where beat keeps its schedule if the configured file cannot be written: the first of `places` that can be written.

    Return None if the configured file can be written.

    Only this user may use a place: beat's schedule is pickled, and whoever can write it can run code as beat.

    Raises OSError or PrivateServerError, which say why the last of the places cannot be used.
    """
    path = Path(configured)
    if _is_writable(path.parent) and not (path.exists() and not os.access(path, os.W_OK)):
        return None
    error: Exception = PermissionError(errno.EACCES, "no folder can be written")
    for place in places:
        try:
            make_private(place)
        except (OSError, PrivateServerError) as caught:
            error = caught
            continue
        if _is_writable(place):
            return place / path.name
    raise error


def place_beside(configured: str, folder: Path) -> Path | None:
    """Return the file for the schedule in `folder`, the data folder of the private Valkey; None to use the configured file.

    That is so if the configured file exists, if it is not Celery's default, or if the folder cannot be used.
    """
    if configured != _DEFAULT or any(os.path.exists(f"{configured}{suffix}") for suffix in ("", *SUFFIXES)):
        return None
    try:
        make_private(folder)
    except (OSError, PrivateServerError):
        return None
    return folder / configured if _is_writable(folder) else None


def why_no_schedule(path: str, *, typed: bool = True) -> str | None:
    """Return why beat cannot keep its schedule in `path`, as the end of a sentence; None if it can.

    Beat removes any file that it takes for a broken schedule. If the path was not typed, beat can use another folder.
    """
    import dbm

    folder = os.path.dirname(path) or "."
    if typed and not os.path.isdir(folder):
        return f'cannot be written: there is no folder "{folder}".'
    for name in (path, *(f"{path}{suffix}" for suffix in SUFFIXES)):
        if os.path.exists(name) and not os.path.isfile(name):  # to open a pipe would block
            return "is no file, and beat would remove it." if name == path else f'is taken: "{name}" is no file.'
    index = f"{path}.dir"  # dbm.dumb takes a name in quotes for the beginning of one
    if dbm.whichdb(path) is None and os.path.isfile(index) and os.path.getsize(index):
        return f'is taken: "{index}" is no schedule of beat, which would remove it.'
    if not os.path.isfile(path) or dbm.whichdb(path) != "":
        return None
    with open(path, "rb") as file:
        other = file.read(16).strip(b"\0")  # a crash leaves an empty file
    return "is no schedule of beat, which would remove it." if other else None


def set_damaged_aside(path: str) -> str | None:
    """Rename the files of a schedule that cannot be read, and return the name that it has then; None if it can be read.

    A beat that is killed while it writes may leave such a schedule.
    """
    files = {suffix: f"{path}{suffix}" for suffix in ("", *SUFFIXES) if os.path.isfile(f"{path}{suffix}")}
    if not files or tried(lambda: read_copy(path, files.values(), dict), lambda _: None) is not None:
        return None
    for suffix, file in files.items():
        os.replace(file, f"{path}.damaged{suffix}")
    return f"{path}.damaged"


def read_copy(path: str | Path, files: Iterable[str | Path], read: Callable[[Any], T]) -> T:
    """Return what `read` finds in the schedule (a shelf) at `path`, which has these files. A copy is read."""
    with TemporaryDirectory() as folder:
        for file in files:
            shutil.copy(file, folder)
        with shelve.open(os.path.join(folder, os.path.basename(path)), "r") as store:
            return read(store)


#: CELERY_BEAT_SCHEDULE_FILENAME, if nobody has set it.
_DEFAULT = "celerybeat-schedule"

#: The suffixes that the modules of dbm append to the name.
SUFFIXES = (".db", ".dat", ".dir", ".bak", ".pag")


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`. It tries to make one: permissions do not show a read-only file system."""
    probe = folder / f".tasktools-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def runtime_place(folder: Path, temporary: Path) -> Path:
    """Return a folder in `temporary` that belongs to this user and to the project whose data folder is `folder`."""
    project = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    own = runtime_folder(temporary)
    return own.with_name(f"{own.name}-{project}")
