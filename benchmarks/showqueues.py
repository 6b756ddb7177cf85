"""showqueues on a queue of 1,000,000 messages, beside an empty one; --by-task and --peek on it; memory, and the server's calls.

    python -m benchmarks.showqueues [--pairs N] [--messages N]

The messages are those of Celery's protocol 2, of three tasks, put into the private Valkey by LPUSH; it needs about a gigabyte
for a million. Each sample is a whole `manage.py showqueues`. The rate of --by-task is that of the time that it takes beyond a
`showqueues` of the same queue. The longest call is the longest entry of the server's SLOWLOG while the samples are taken.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.bulk_memory import peak_of
from benchmarks.common import OURS_DATABASE, PYTHON, Sites, finished, sites
from benchmarks.report import Side, Target, interleave, parser, positive, report_difference, report_ratio, verdict

MESSAGES, PAIRS = 1_000_000, 7

#: Times of showqueues, full against empty; --by-task in messages a second; one call in ms; --peek in s beyond showqueues; MB.
LOOK = Target(limit=1.2)
RATE = Target(limit=100_000, at_least=True)
CALL = Target(limit=20, unit="ms")
PEEK = Target(limit=0.1, unit="s")
MEMORY = Target(limit=10, unit="MB")

FULL, EMPTY = "full", "celery"
TASKS = ("shop.tasks.add", "shop.tasks.mail", "shop.tasks.report")

#: Calls that take longer are noted by the server, in microseconds.
NOTED = 1_000


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__, number=PAIRS)
    options.add_argument("--messages", type=positive, default=MESSAGES, metavar="N", help=f"in the queue ({MESSAGES})")
    given = options.parse_args()
    with sites() as both, both.client(OURS_DATABASE) as client:
        begin(both, client, given.messages)
        full, empty, counted, peeked = (
            Side(name=" ".join(words), sample=sampler(both.ours, words))
            for words in ((FULL,), (EMPTY,), (FULL, "--by-task"), (FULL, "--peek", "10"))
        )
        interleave([full, empty, counted, peeked], given.pairs)
        longest = longest_call(client)
        peaks = [memory(both.ours, (queue, "--by-task")) for queue in (FULL, EMPTY)]
    results = [
        report_ratio(f"manage.py showqueues, {given.messages:,} messages", full, empty, LOOK, "s"),
        report_rate(given.messages, counted, full),
        report_difference("manage.py showqueues --peek 10", peeked, full, PEEK, "s"),
    ]
    print(f"\nlongest call of the server: {longest / 1000:.1f} ms")
    results.append(verdict(longest / 1000, CALL))
    print(f"\nlargest resident set of --by-task: {peaks[0]:.1f} MB, of an empty queue {peaks[1]:.1f} MB")
    results.append(verdict(peaks[0] - peaks[1], MEMORY))
    return 0 if all(results) else 1


def begin(both: Sites, client: Any, messages: int) -> None:
    """Fill the queue, and have the server note its slow calls from now on."""
    fill(client, messages)
    finished(command(FULL), both.ours)  # compiles the modules
    client.config_set("slowlog-log-slower-than", NOTED)
    client.config_set("slowlog-max-len", 10_000)
    client.slowlog_reset()


def fill(client: Any, messages: int) -> None:
    """Put messages as Celery makes them into the queue FULL, whose ids and tasks differ."""
    sample = template()
    for start in range(0, messages, 1000):
        made = []
        for number in range(start, min(start + 1000, messages)):
            task_id = str(uuid.uuid4())
            headers = {**sample["headers"], "id": task_id, "root_id": task_id, "task": TASKS[number % len(TASKS)]}
            properties = {**sample["properties"], "correlation_id": task_id, "timestamp": int(time.time())}
            made.append(json.dumps({**sample, "headers": headers, "properties": properties}))
        client.lpush(FULL, *made)


def template() -> dict[str, Any]:
    """Return a message of Celery as kombu writes it to Redis."""
    with Celery("shop", broker="memory://", set_as_current=False) as app:
        app.send_task(TASKS[0], (1, 2), queue=FULL)
        with app.connection_for_read() as connection:
            found: dict[str, Any] = connection.default_channel._get(FULL)
            return found


def command(*words: str) -> list[str]:
    return [PYTHON, "manage.py", "showqueues", *words]


def sampler(root: Path, words: Sequence[str]) -> Callable[[], float]:
    """Return what takes one sample: the time of the whole process, in seconds."""
    return lambda: finished(command(*words), root)[0]


def report_rate(messages: int, counted: Side, full: Side) -> bool:
    """Print how many messages a second --by-task reads, and whether these are enough."""
    rates = [messages / (long - short) for long, short in zip(counted.samples, full.samples, strict=True)]
    figure = statistics.median(rates)
    print(f"\nmanage.py showqueues --by-task: median {counted.median:.3f} s for {messages:,} messages")
    print(f"messages a second: median {figure:,.0f}, {min(rates):,.0f} to {max(rates):,.0f}")
    return verdict(figure, RATE)


def longest_call(client: Any) -> float:
    """Return how long the longest call was that the server has noted, in microseconds."""
    return max((entry["duration"] for entry in client.slowlog_get(10_000)), default=NOTED)


def memory(root: Path, words: Sequence[str]) -> float:
    """Return the largest resident set of the command, in MB."""
    return peak_of(command(*words), root)


if __name__ == "__main__":
    sys.exit(main())
