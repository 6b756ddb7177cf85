"""How long `manage.py purgequeue` takes on a long queue, and for how long the server then answers nobody else.

    python -m benchmarks.purge [--messages N] [--busy]

1. The queue is filled with N messages (100,000), each with an id of its own; those of one task are every second one.
2. `purgequeue celery --task shop.tasks.add --noinput` removes half of them. With --busy, others push and pop about 1,000
   messages a second meanwhile.
3. `purgequeue celery --noinput` removes the rest.

Beside each, a client asks PING every millisecond: its longest wait is that of everybody else. The times are those of whole
processes, so each holds the start of Django.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator

import redis

from benchmarks.common import OURS_DATABASE, PYTHON, Sites, finished, sites
from benchmarks.drain import QUEUE, copies, sent_message

#: The longest wait of others that is accepted, in milliseconds.
LONGEST = 20.0

#: How many messages are sent to the server at once.
BATCH = 5_000


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=100_000, metavar="N", help="messages in the queue (100000)")
    options.add_argument("--busy", action="store_true", help="push and pop meanwhile")
    given = options.parse_args()
    with sites() as both:
        client = both.client(OURS_DATABASE)
        fill(client, sent_message(client, both.ours), given.messages)
        with others(both) if given.busy else contextlib.nullcontext():
            one = purge(both, "--task", "shop.tasks.add")
        whole = purge(both)
    return 0 if max(one, whole) <= LONGEST else 1


def fill(client: redis.Redis, message: bytes, number: int) -> None:
    """Push messages of two tasks in turn."""
    made = copies(message, number)
    for start in range(0, number, BATCH):
        batch = [next(made) for _ in range(min(BATCH, number - start))]
        client.lpush(QUEUE, *(each.replace(b".noop", b".add") if n % 2 else each for n, each in enumerate(batch)))


def purge(both: Sites, *words: str) -> float:
    """Run purgequeue, print what it took, and return the longest wait of a PING meanwhile, in milliseconds."""
    waits: list[float] = []
    with both.client(OURS_DATABASE) as client, repeated(lambda: waits.append(timed_ping(client)), 0.001):
        seconds, out = finished([PYTHON, "manage.py", "purgequeue", QUEUE, *words, "--noinput", "--json"], both.ours)
    [found] = json.loads(out)["queues"]
    rate = found["removed"] / seconds
    print(f"purgequeue {' '.join([QUEUE, *words])}: {found['removed']:,} of {found['waiting']:,} in {seconds:.2f} s")
    print(f"  {rate:,.0f} removed a second; longest wait of others {max(waits):.1f} ms", flush=True)
    return max(waits)


def timed_ping(client: redis.Redis) -> float:
    begin = time.perf_counter()
    client.ping()
    return (time.perf_counter() - begin) * 1000


@contextlib.contextmanager
def others(both: Sites) -> Iterator[None]:
    """Push and pop messages of another task, each about 500 times a second."""
    with both.client(OURS_DATABASE) as client:
        model = client.lindex(QUEUE, 0).replace(b".add", b".noop")
        with repeated(lambda: client.lpush(QUEUE, model), 0.002), repeated(lambda: client.rpop(QUEUE), 0.002):
            yield


@contextlib.contextmanager
def repeated(call: Callable[[], object], pause: float) -> Iterator[None]:
    """Call in a thread again and again."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(pause):
            call()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
