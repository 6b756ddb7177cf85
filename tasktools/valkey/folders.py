"""Files for this user only: folders, the files in them, and the socket of the private Valkey.

A folder must belong to this user, and nobody else may enter it. If others may only read it, tasktools closes it if it has
no other use. If others may write to it, tasktools refuses it: it may hold their files. It also refuses a folder of another
user, even for root: its owner could put their own server there, read the arguments of tasks and send tasks.
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

#: The contents of a folder with no other use: the server's files, sockets, marks of runs, beat's schedule, data folders.
_OURS = re.compile(
    r"valkey\..*|(start|server)\.lock|appendonlydir|\.gitignore|.*\.sock|runs|[0-9a-f]{16}|celerybeat-.*|.+-[0-9a-f]{8}"
)

#: struct ucred of <sys/socket.h>: process, user, group.
_PEER = "iII"


def runtime_folder(parent: Path = Path("/tmp")) -> Path:
    """Return the folder for files that cannot be in the project. For sockets, it does not depend on the environment."""
    return parent / f"tasktools-{os.geteuid()}"


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, closed to others, and make git ignore it. Raises OSError.

    An existing folder is not changed. Path.mkdir uses its mode only for the last folder, and the umask for the parents.

    Raises PrivateServerError if it is inside a runtime folder that others may use.
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
    """Make a folder for this user only; check it if it exists. Raises OSError and PrivateServerError."""
    make_folder(folder)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Return if `folder` is only for this user, or does not exist. Close it if others may only read it.

    A link to it must belong to this user or to root, and the folder that it points to is not changed.

    If it is in a runtime folder, check that one too: anybody can make it first, and its owner could replace `folder`.

    Raises OSError when it cannot be read or is not a folder, PrivateServerError when others have rights to it.
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
    """Remove the rights of others, and return whether that worked: some file systems keep no modes.

    Do not change a folder that has other uses: others may need it.
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
    """Return if `path` is of this kind (stat.S_IFREG, stat.S_IFSOCK) and belongs to this user, or does not exist.

    Code that opens it then does not wait for the other end of a pipe, and follows no link. The folder must be checked too.

    Raises PrivateServerError.
    """
    try:
        found = path.lstat()
    except OSError:
        return  # the code that uses it gets the same error
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
    """Return if the server at the other end of a unix socket runs as this user. Only Linux can check that.

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
