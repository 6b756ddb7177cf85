"""From the save of a changed tasks.py to the end of the first task that ran on the new code, in seconds.

    python -m benchmarks.reload [--rounds N] [--files N]

Ours is `manage.py runworker`; beside it a stock Celery runs under `watchfiles` and under `watchmedo auto-restart`, each with
the defaults of its tool. All three run at the same time, each in a project and on a database of its own, idle but for the one
whose turn it is. How one sample is taken:

1. tasks.py is replaced by one whose task returns another version; the time begins.
2. A client that is connected already sends the task, and looks every 2 ms for results. To a result of the old code, and to
   none within 50 ms, it answers with one more task, so that a task that got lost holds nobody up.
3. The time ends with the first result of the new version, whichever of the tasks it is of.
4. The next one's turn comes when the processes have been the same, and the queue empty, for two seconds.

Behind the times stands what became of the tasks that were sent: how many the old code still ran after the save, and how many
had no result by the time that everything was settled.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from benchmarks.common import LIMIT
from benchmarks.reloaders import OPTIONS, Reloader, reloaders
from benchmarks.report import Side, Target, interleave, parser, report_ratio, verdict

TARGET = Target(limit=0.25)
TARGET_SECONDS = Target(limit=0.9, unit="s")

#: Seconds between two looks for results.
PERIOD = 0.002
#: After how many seconds without a result one more task is sent.
RESEND = 0.05


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """What became of the tasks of one round."""

    sent: int
    #: Run by the old code, after the save.
    old: int
    #: Without a result, or failed.
    lost: int


@dataclass(kw_only=True)
class Edits:
    """What takes the samples of one side."""

    reloader: Reloader
    rounds: list[Tasks] = field(default_factory=list)

    def sample(self) -> float:
        """Save, send, wait, and let it settle; return the seconds until the new code had done a task."""
        seconds = until_new(self.reloader)
        self.reloader.settle()
        self.rounds.append(outcome(self.reloader))
        self.reloader.forget_tasks()
        return seconds


def main() -> int:
    """Measure, print, and return the exit code."""
    options = parser(__doc__, "rounds")
    options.add_argument("--files", type=int, default=0, metavar="N", help="further .py files in each project (0)")
    given = options.parse_args()
    with reloaders(given.files) as running:
        edits = [Edits(reloader=each) for each in running]
        ours, *others = sides = [Side(name=each.reloader.name, sample=each.sample) for each in edits]
        interleave(sides, given.rounds)
    best = Side(name="the better of these two", sample=others[0].sample)
    best.samples.extend(map(min, *(other.samples for other in others)))
    title = f"Edit to new code, {given.files} further files: {' '.join(OPTIONS)}"
    met = report_ratio(title, ours, best, TARGET, "s", beside=others)
    print(f"median of {ours.name}: {ours.median:.3f} s")
    met = verdict(ours.median, TARGET_SECONDS) and met
    print_tasks(edits)
    return 0 if met else 1


def until_new(side: Reloader) -> float:
    """Save new code and return the seconds until a task has run on it. Raises RuntimeError after LIMIT seconds."""
    begin = side.save()
    waiting: list[str] = []
    last = -RESEND
    while True:
        now = time.perf_counter() - begin
        if now > LIMIT:
            raise RuntimeError(f"{side.name} has not run the new code: {side.log.read_text(errors='replace')[-3000:]}")
        if not waiting or now - last > RESEND:
            waiting.append(side.send())
            last = now
        time.sleep(PERIOD)
        answers = side.answers(waiting)
        if side.version in answers.values():
            return time.perf_counter() - begin
        if answers.keys() & waiting[-1:]:
            last = -RESEND
        waiting = [each for each in waiting if each not in answers]


def outcome(side: Reloader) -> Tasks:
    """Return what became of the tasks since the save."""
    versions = list(side.answers(side.sent).values())
    done, old = versions.count(side.version), versions.count(side.version - 1)
    return Tasks(sent=len(side.sent), old=old, lost=len(side.sent) - done - old)


def print_tasks(edits: list[Edits]) -> None:
    """Print the tasks of all rounds but the first, which does not count."""
    width = max(len(each.reloader.name) for each in edits)
    print(f"\n{'tasks after the save':{width}}  {'sent':>9} {'old code':>9} {'lost':>9}")
    for each in edits:
        counted = each.rounds[1:]
        sums = [sum(getattr(one, name) for one in counted) for name in ("sent", "old", "lost")]
        print(f"{each.reloader.name:{width}}  {' '.join(f'{number:9}' for number in sums)}")


if __name__ == "__main__":
    sys.exit(main())
