"""Tasks of every kind that the suite calls."""

from __future__ import annotations

import enum
import os
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from celery import Task, shared_task
from celery.exceptions import Ignore


class Colour(str, enum.Enum):
    RED = "r"
    BLUE = "b"


@shared_task
def total(x: int, y: int = 2, *, factor: float = 1.0) -> float:
    """Add and multiply.

    More about it stands here.
    """
    return (x + y) * factor


@shared_task
def echo(value):
    return value


@shared_task
def typed(
    text: str = "",
    number: int | None = None,
    flag: bool = False,
    price: Decimal = Decimal(0),
    key: UUID | None = None,
    day: date | None = None,
    at: datetime | None = None,
    colour: Colour = Colour.RED,
    size: Literal["S", "L", 3] = "S",
    items: list[int] | None = None,
) -> str:
    return repr((text, number, flag, price, key, day, at, colour, size, items))


@shared_task
def span(length: timedelta) -> float:
    return length.total_seconds()


@shared_task
def gather(*values: int, **named: Any) -> list[Any]:
    return [list(values), named]


@shared_task(bind=True)
def bound(self: Task, word: str) -> str:
    """Say which task this is."""
    return f"{self.name} {word}"


@shared_task(bind=True)
def seen_request(self: Task, *values: int) -> dict[str, Any]:
    """Return what self.request holds."""
    return {name: value for name, value in vars(self.request).items() if not name.startswith("_")}


@shared_task
def fail(message: str = "broken") -> None:
    raise ValueError(message)


@shared_task
def unsendable() -> object:
    return object()


@shared_task
def nothing() -> None:
    return None


@shared_task(bind=True)
def ignored(self: Task) -> None:
    raise Ignore


@shared_task
def pid() -> int:
    return os.getpid()


@shared_task
def snooze(seconds: float, path: str = "") -> str:
    """Sleep so long, or until there is a file `path`.end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (path and os.path.exists(f"{path}.end")):
        time.sleep(min(seconds, 0.05))
    if path:
        with open(path, "a") as file:
            file.write("done\n")
    return "awake"


@shared_task
def announce_and_snooze(seconds: float) -> None:
    print("begun", flush=True)
    time.sleep(seconds)


@shared_task(name="elsewhere.total")
def another_total() -> str:
    return "another"


@shared_task
def note_id(path: str, key: int) -> None:
    with open(path, "a") as file:
        file.write(f"{key}\n")
