"""Open what a broker without a server of its own keeps its messages in. kombu does so only when it gets the first message."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def open_store(connection: Any) -> None:
    """Open the database or the folders of a connected kombu Connection. For any other broker, do nothing.

    Raises what SQLAlchemy or the system raises.
    """
    opened = _STORES.get(connection.transport.driver_type)
    if opened is not None:
        opened(connection.default_channel)


def _open_database(channel: Any) -> None:
    from sqlalchemy.engine import make_url

    url = make_url(channel.connection.client.hostname)
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        return  # each thread has a database of its own, and another thread sends
    channel.session.get_bind().connect().close()


def _open_folders(channel: Any) -> None:
    for folder in (channel.data_folder_in, channel.data_folder_out, Path(channel.control_folder).parent):
        os.listdir(folder)
    if not os.access(channel.data_folder_out, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(channel.data_folder_out))


#: By the `driver_type` of kombu's transport.
_STORES: dict[str, Callable[[Any], None]] = {"sql": _open_database, "filesystem": _open_folders}
