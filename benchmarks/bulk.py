"""Send many calls: `manage.py enqueue add --from FILE` against what else one would write for it, in calls a second.

    python -m benchmarks.bulk [--rounds N] [--calls N] [--hook events|receiver|class]

Ours is the whole command as a process, from its start to its end: Django's start, reading, checking and typing the lines is
in its time, and its rate is judged by that; what the command itself tells stands beside it. The others are scripts that
time their own loop alone, without the start of the process and with a connection that is there already:

- a loop of `add.delay(n, n)`, and one of `add.apply_async((n, n), ignore_result=True)`, which subscribes to no results;
- a `group` of all calls;
- `apply_async` with a producer of kombu in `Producer.batch` (kombu 5.7 and newer), 500 calls a batch;
- rq's `Queue.enqueue_many` with a pipeline for each 500 jobs, from a virtual environment of its own;
- a bare loop of LPUSH, 500 values each, with a message of ours: what the server and redis-py take alone.

All use one project and its private Valkey, rq another database there. The slow ones send fewer calls (OTHERS). The server is
emptied before each sample, and a sample whose messages have not all come to the queue is void. At the end ours runs once
more under cProfile, which says what stands between it and the bare loop.

With `--hook` the project has one hook that Celery calls for each message (HOOKS), and the other side is the loop of
`add.delay(n, n)` with the same hook.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import kombu

from benchmarks import senders
from benchmarks.common import OURS_DATABASE, PYTHON, TASKS, Sites, finished, sites, timed
from benchmarks.profiles import print_profile
from benchmarks.report import Against, Side, Target, interleave, parser, positive, report_ratios
from benchmarks.tools import rq_python

TARGET_DELAY = Target(limit=30, at_least=True)
TARGET_RQ = Target(limit=4, at_least=True)

CALLS = 200_000
ROUNDS = 5

QUEUE = "celery"
RQ_QUEUE = "rq:queue:default"
RQ_DATABASE = 2


@dataclass(frozen=True, kw_only=True)
class Other:
    """A side that is a script."""

    name: str
    script: str
    #: How many calls a sample sends; what takes minutes for all is measured by fewer.
    calls: int
    target: Target | None = None


OTHERS = (
    Other(name="add.delay() loop", script=senders.DELAY, calls=4_000, target=TARGET_DELAY),
    Other(name="loop, ignore_result", script=senders.DELAY_WITHOUT_RESULT, calls=4_000),
    Other(name="group", script=senders.GROUP, calls=4_000),
    *(
        [Other(name="kombu's batch", script=senders.KOMBU_BATCH, calls=8_000)]
        if hasattr(kombu.Producer, "batch")
        else []
    ),
)


@dataclass(frozen=True, kw_only=True)
class Hook:
    """What a project does with each message."""

    settings: str = ""
    #: At the end of its tasks module, and between the parentheses of @shared_task.
    code: str = ""
    options: str = ""
    target: Target | None = TARGET_DELAY


HOOKS = {
    "events": Hook(settings="CELERY_TASK_SEND_SENT_EVENT = True\n"),
    "receiver": Hook(code=senders.RECEIVER),
    "class": Hook(code=senders.BASE, options="base=Base", target=None),
}

RQ = Other(name="rq's enqueue_many", script=senders.RQ, calls=8_000, target=TARGET_RQ)


@dataclass(kw_only=True)
class Bench:
    """The project, the file of calls, and how one sample of each side is taken."""

    both: Sites
    calls: int
    hook: Hook = field(default_factory=Hook)
    #: What the command told of its own rate, sample by sample.
    told: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        write_lines(self.lines, self.calls)
        # With types, so that each argument is held against its own.
        tasks = TASKS.replace("add(x, y)", "add(x: int, y: int)")
        tasks = tasks.replace("@shared_task\n", f"{self.hook.code}\n\n@shared_task({self.hook.options})\n", 1)
        (self.root / "shop/tasks.py").write_text(tasks)
        with (self.root / "proj/settings.py").open("a") as file:
            file.write(self.hook.settings)
        (self.root / "shop_jobs.py").write_text(senders.RQ_JOBS)
        (self.root / "profiled.py").write_text(senders.PROFILED)

    @property
    def root(self) -> Path:
        return self.both.ours

    @property
    def lines(self) -> Path:
        return self.root / "calls.jsonl"

    @property
    def message(self) -> Path:
        """A message of ours; there when ours has been run once."""
        return self.root / "message"

    @property
    def words(self) -> list[str]:
        return ["enqueue", "add", "--from", str(self.lines), "--json"]

    def ours(self) -> float:
        """Take one sample of ours: calls a second of the whole process."""
        self.both.clear()
        seconds, output = finished([PYTHON, "manage.py", *self.words], self.root)
        self.told.append(self.calls / json.loads(output)["seconds"])
        self.require(QUEUE, OURS_DATABASE, self.calls)
        with self.both.client(OURS_DATABASE) as client:
            first, last = client.lindex(QUEUE, 0), client.lindex(QUEUE, -1)
        if not isinstance(first, bytes) or not isinstance(last, bytes) or len(first) != len(last):
            raise RuntimeError("The messages are not equally long.")
        self.message.write_bytes(first)
        return self.calls / seconds

    def other(self, other: Other, number: int) -> Side:
        """Return the side of a script on the project's own Python; `number` keeps its file apart."""
        words = [str(self.both.socket), str(self.message)]
        return self._script(other, f"send{number}.py", PYTHON, words, QUEUE, OURS_DATABASE)

    def rq(self) -> Side:
        """Return rq's side; the first time rq is installed."""
        words = [str(self.both.socket), str(RQ_DATABASE)]
        return self._script(RQ, "send_rq.py", str(rq_python()), words, RQ_QUEUE, RQ_DATABASE)

    def _script(self, other: Other, file: str, python: str, words: Sequence[str], queue: str, database: int) -> Side:
        (self.root / file).write_text(other.script)

        def sample() -> float:
            self.both.clear()
            output = finished([python, file, str(other.calls), *words], self.root)[1]
            self.require(queue, database, other.calls + senders.AHEAD)
            return other.calls / float(output)

        return Side(name=f"{other.name}, {other.calls:,}", sample=sample)

    def require(self, queue: str, database: int, number: int) -> None:
        """Raise RuntimeError unless `number` messages lie in a queue."""
        with self.both.client(database) as client:
            found = client.llen(queue)
        if found != number:
            raise RuntimeError(f"{found} messages came to the queue {queue}, not {number}.")

    def profile(self) -> None:
        """Run ours under cProfile, and print what it finds."""
        self.both.clear()
        found = self.root / "profile"
        timed([PYTHON, "profiled.py", str(found), *self.words], self.root)
        self.require(QUEUE, OURS_DATABASE, self.calls)
        print_profile(found, self.calls)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__, "rounds", ROUNDS)
    options.add_argument("--calls", type=positive, default=CALLS, metavar="N", help=f"calls of ours ({CALLS})")
    options.add_argument("--hook", choices=HOOKS, help="compare with the loop of .delay() only, both with this hook")
    given = options.parse_args()
    with sites() as both:
        bench = Bench(both=both, calls=given.calls, hook=HOOKS.get(given.hook, Hook()))
        met = (compare_hooked if given.hook else compare)(bench, given.rounds)
        print("\nOurs under cProfile, which slows down what is written in Python; without the start of the process\n")
        bench.profile()
    return 0 if met else 1


def compare(bench: Bench, rounds: int) -> bool:
    """Measure all sides, print the table and the ratios, and return whether the targets were met."""
    ours = Side(name=f"manage.py enqueue --from, {bench.calls:,}", sample=bench.ours)
    # Not measured, but taken from the run before it.
    own = Side(name="the same by its own seconds", sample=lambda: bench.told[-1])
    others = [Against(side=bench.other(each, at), target=each.target) for at, each in enumerate(OTHERS)]
    others.append(Against(side=bench.rq(), target=RQ.target))
    bare = bench.other(Other(name="bare LPUSH loop", script=senders.BARE, calls=bench.calls), len(OTHERS))
    others.append(Against(side=bare))
    interleave([ours, own, *(each.side for each in others)], rounds)
    met = report_ratios("Send many calls; ours by the whole process", ours, others, "calls/s", beside=[own])
    print_distance([ours, own, bare])
    return met


def compare_hooked(bench: Bench, rounds: int) -> bool:
    """Measure ours and the loop of .delay() with a hook, print the ratio, and return whether the target was met."""
    ours = Side(name=f"manage.py enqueue --from, {bench.calls:,}", sample=bench.ours)
    own = Side(name="the same by its own seconds", sample=lambda: bench.told[-1])
    delay = Against(side=bench.other(OTHERS[0], 0), target=bench.hook.target)
    interleave([ours, own, delay.side], rounds)
    return report_ratios("Send many calls with a hook", ours, [delay], "calls/s", beside=[own])


def print_distance(sides: Sequence[Side]) -> None:
    """Print how long one call takes on each side."""
    print("\nA call takes, by the medians:")
    for side in sides:
        print(f"{1e6 / side.median:8.2f} us  {side.name}")


def write_lines(path: Path, number: int) -> None:
    """Write so many calls of `add`, one a line."""
    with path.open("w") as file:
        file.writelines(f"[{n}, {n}]\n" for n in range(senders.FIRST, senders.FIRST + number))


if __name__ == "__main__":
    sys.exit(main())
