"""What lies on the disk for this user alone: folders, the files in them, and the socket of the private Valkey.

A folder must belong to this user, and nobody else may enter it. One that others may only look into is closed if it serves
nothing else. One that others may write to is refused: there may be something of theirs in it. So is one of somebody else,
for root as well: its owner could put a server of his own there, read the arguments of tasks and send tasks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import socket
import stat
import struct
import sys
from pathlib import Path

from tasktools.exceptions import PrivateServerError

_KINDS = {
    stat.S_IFREG: "an ordinary file",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
}

#: What lies in a folder that serves nothing else: the server's files, sockets, marks of runs, beat's schedule, data folders.
_OURS = re.compile(
    r"valkey\..*|(start|server)\.lock|appendonlydir|\.gitignore|.*\.sock|runs|[0-9a-f]{16}|celerybeat-.*|.+-[0-9a-f]{8}"
)

#: struct ucred of <sys/socket.h>: process, user, group.
_PEER = "iII"


def runtime_folder(parent: Path = Path("/tmp")) -> Path:
    """Return the folder for what finds no place in the project. For sockets it does not depend on the environment."""
    return parent / f"tasktools-{os.geteuid()}"


def make_folder(folder: Path) -> None:
    """Make a folder and the missing ones above it, closed to others, and have git ignore it. Raises OSError.

    One that is there already is left as it is. Path.mkdir gives its mode to the last folder alone, the umask's to the rest.

    Raises PrivateServerError where it lies in a runtime folder that others have a right to.
    """
    for above in _shared(folder):
        make_private(above)
    for above in reversed([each for each in folder.parents if not each.exists()]):
        with contextlib.suppress(FileExistsError):
            above.mkdir(mode=0o700)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        (folder / ".gitignore").write_text("*\n")


def make_private(folder: Path) -> None:
    """Make a folder for this user alone; one that is there is checked. Raises OSError and PrivateServerError."""
    make_folder(folder)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Return when `folder` belongs to this user alone, or is not there. It is closed if others may only look into it.

    A link to it belongs to this user or to root, and what it leads to is not changed.

    In a runtime folder, which anybody can make first, that one is checked too: its owner could put another in its place.

    Raises OSError when it cannot be looked at or is no folder, PrivateServerError when others have a right to it.
    """
    for above in _shared(folder):
        check_private(above)
    try:
        link = folder.lstat()
    except FileNotFoundError:
        return
    found = folder.stat() if stat.S_ISLNK(link.st_mode) else link
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if found.st_uid != os.geteuid():
        raise _foreign(folder, found)
    if link.st_uid not in (os.geteuid(), 0):
        raise _foreign(folder, link)
    if found.st_mode & 0o077 and (found is not link or found.st_mode & 0o022 or not _close(folder)):
        raise _open(folder, found)


def _shared(folder: Path) -> list[Path]:
    runtime = runtime_folder()
    # On macOS /tmp is a link, and the path of a socket has been resolved.
    return [above for above in folder.parents if above in (runtime, Path(os.path.realpath(runtime)))]


def _close(folder: Path) -> bool:
    """Take the rights of others away, and return whether they have gone: some file systems keep no modes.

    A folder that serves something else too is left alone: others may need it.
    """
    if not all(_OURS.fullmatch(name) for name in os.listdir(folder)):
        return False
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            os.fchmod(handle, 0o700)
        return not os.fstat(handle).st_mode & 0o077
    finally:
        os.close(handle)


def check_kind(path: Path, kind: int = stat.S_IFREG) -> None:
    """Return when `path` is of that kind (stat.S_IFREG, stat.S_IFSOCK) and this user's, or is not there.

    Whoever opens it then does not wait for the other end of a pipe, and follows no link. The folder must be checked too.

    Raises PrivateServerError.
    """
    try:
        found = path.lstat()
    except OSError:
        return  # whoever uses it gets the same error
    is_kind = stat.S_IFMT(found.st_mode)
    if is_kind != kind:
        raise PrivateServerError(
            f'The private Valkey cannot use "{path}": it is {_KINDS.get(is_kind, "a device")}.',
            hint="move it away; the private Valkey makes its own",
        )
    if found.st_uid != os.geteuid():
        raise PrivateServerError(
            f'"{path}" is not yours: user {found.st_uid} owns it, you are {os.geteuid()}.',
            hint="remove it; if you work as root now and then, chown the whole folder back to you",
        )


def check_peer(connection: socket.socket, path: Path) -> None:
    """Return when the server at the other end of a unix socket runs as this user. Only Linux shows it.

    Raises PrivateServerError.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_PEER))
        _, user, _ = struct.unpack(_PEER, peer)
        if user != os.geteuid():
            raise PrivateServerError(
                f'The server at "{path}" is not yours: user {user} runs it, you are {os.geteuid()}.',
                hint="find out who it is; TASKTOOLS_DATA_DIR names another folder",
            )


def _foreign(folder: Path, found: os.stat_result) -> PrivateServerError:
    return PrivateServerError(
        f'The folder "{folder}" is not yours: user {found.st_uid} owns it '
        f"(mode {stat.S_IMODE(found.st_mode):o}), you are {os.geteuid()}.",
        hint="run the command as that user, take the folder back with chown, or name another one in TASKTOOLS_DATA_DIR",
    )


def _open(folder: Path, found: os.stat_result) -> PrivateServerError:
    return PrivateServerError(
        f'The folder "{folder}" is not yours alone: others have a right to it (mode {stat.S_IMODE(found.st_mode):o}).',
        hint=f"look whether all that is in it is yours, then: chmod 700 {shlex.quote(str(folder))} "
        "(or name a folder of its own in TASKTOOLS_DATA_DIR)",
    )


def unwritable(folder: Path, error: OSError) -> PrivateServerError:
    """Return the error for a data folder that cannot be made, or in which something cannot be read or written."""
    name = Path(os.fsdecode(error.filename)).name if isinstance(error.filename, (str, bytes)) else folder.name
    where = "" if name == folder.name else f" ({name})"
    return PrivateServerError(
        f'The private Valkey cannot keep its data in "{folder}": {error.strerror or error}{where}.',
        hint="set TASKTOOLS_DATA_DIR to a folder that can be written, or CELERY_BROKER_URL to a broker of your own",
    )
