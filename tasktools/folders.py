"""Folders that belong to this user: the data of the private Valkey, and the place of sockets with long paths."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tasktools.exceptions import PrivateServerError


def make_folder(folder: Path) -> None:
    """Make the data folder, closed to others and unknown to git; one that is there already is left as it is."""
    try:
        try:
            folder.mkdir(mode=0o700, parents=True)
            (folder / ".gitignore").write_text("*\n")
        except FileExistsError:
            if folder.stat().st_uid != os.geteuid():
                raise _foreign(folder, folder.stat().st_uid) from None
    except OSError as error:
        raise unwritable(folder, error) from None


def check_private(folder: Path, *, make: bool = False) -> None:
    """Return when `folder` belongs to this user alone; with `make` it is made if it is not there.

    Raises PrivateServerError when it is somebody else's: its owner could put a server of his own in place of ours.
    """
    try:
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(folder, error) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise _foreign(folder, found.st_uid)


def _foreign(folder: Path, owner: int) -> PrivateServerError:
    return PrivateServerError(
        f'The folder "{folder}" of the private Valkey is not yours alone: user {owner} owns it, '
        f"you are {os.geteuid()}, and no one else may have a right to it.",
        hint="remove it, take it back with chown and chmod 700, or name another one in TASKTOOLS_DATA_DIR",
    )


def unwritable(folder: Path, error: OSError) -> PrivateServerError:
    """Return the error for a folder that cannot be made or written."""
    return PrivateServerError(
        f'The private Valkey cannot keep its data in "{folder}": {error.strerror}.',
        hint="set TASKTOOLS_DATA_DIR to a folder that can be written, or CELERY_BROKER_URL to a broker of your own",
    )
