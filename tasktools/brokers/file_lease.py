"""A lease on one machine: a lock on a file. The kernel ends it with the process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import stat
import time

from tasktools.brokers.lease import Holder, Lease
from tasktools.exceptions import ConfigurationError

#: How often a process that waits looks whether the lease is free, in seconds.
POLL = 0.2

#: The first line of each such file: a file without it, such as poetry.lock, is not overwritten.
MARK = b"tasktools lease\n"

#: How much of the file is read.
_LONGEST = 10_000


class FileLease(Lease):
    """A lease by a lock on a file (flock), which is made if there is none. It lasts until it is given up or the process ends.

    After its first line the file holds what the holder says of itself. On a file system of another machine (NFS), the lock may
    not count between machines.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: The open file that this process has locked.
        self._file: int | None = None

    def hold(self, text: str, seconds: float) -> Holder | None:
        """Take the lease, or look whether the locked file is still the one at the path: somebody may have removed it.

        Raises OSError, whose text names the file, if it cannot be used as a lock.
        """
        while not self._holds():
            self.close()
            try:
                file = self._open()
            except OSError as error:
                raise self._unusable(error) from error
            other = self._lock(file, text)
            if other is not None:
                return other
        return None

    def _holds(self) -> bool:
        if self._file is None:
            return False
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._file))

    def _open(self) -> int:
        """Open the file, without waiting for the other end of a pipe. Raises OSError for a file that is not ours."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(self.path, flags, 0o600)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no ordinary file")
            if found.st_uid != os.geteuid():
                raise PermissionError(errno.EACCES, f"user {found.st_uid} owns it, and you are {os.geteuid()}")
            if not MARK.startswith(os.pread(file, len(MARK), 0)):  # another process may be writing it
                raise FileExistsError(errno.EEXIST, "something else is in it")
        except BaseException:
            os.close(file)
            raise
        return file

    def _lock(self, file: int, text: str) -> Holder | None:
        """Lock the open file, and note who holds it; return who does if it is another process."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(file, _LONGEST, len(MARK))
            os.close(file)
            return Holder(text=said.decode(errors="replace"), seconds=math.inf)
        except OSError as error:
            os.close(file)
            raise self._unusable(error) from error
        self._file = file
        self.terms += 1
        self._note(text)
        return None

    def _note(self, text: str) -> None:
        """Write what this process says of itself. The lock counts without it: on a full disk, others do not learn it."""
        assert self._file is not None
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, MARK + text.encode(errors="surrogateescape"), 0)

    def _unusable(self, error: OSError) -> OSError:
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        return type(error)(f'the lock "{self.path}" cannot be used: {why}')

    def give_up(self, text: str) -> None:
        if self._holds() and self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
        self.close()

    def wait(self, text: str, seconds: float) -> None:
        """Wait a moment."""
        time.sleep(min(max(seconds, 0.01), POLL))

    def close(self) -> None:
        """Close the file. The lease ends with it."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def refusal(error: OSError) -> ConfigurationError:
    """Return the error for a beat whose lock cannot be used, by what FileLease.hold raises."""
    sentence = f"Beat cannot keep other beats out: {error}."
    return ConfigurationError(sentence, hint="remove that file, or name another schedule with --schedule")
