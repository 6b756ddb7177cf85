"""Several beats on one project, killed, stopped and paused: what is sent twice, what is missing, and how long nobody sends.

    python -m benchmarks.beats chaos     [--minutes N] [--side SIDE ...] [--beats N] [--seed N] [--aim SHARE]
    python -m benchmarks.beats failover  [--kills N] [--terms N] [--side SIDE ...]
    python -m benchmarks.beats outage    [--seconds N] [--side SIDE ...]
    python -m benchmarks.beats container [--minutes N]
    python -m benchmarks.beats cost      [--seconds N] [--pairs N]

SIDE is ours (`manage.py runbeat --noreload`), stock (`celery -A proj beat`, a file for each), or redbeat (`-S
redbeat.RedBeatScheduler`); --lock and --loop are RedBeat's redbeat_lock_timeout and beat_max_loop_interval, in seconds.
runbeat gets the words after `--`. All beats are real processes. The server is a Valkey of the benchmark's own on a TCP port
of this machine, which appends each write to its file. How each is measured stands in beat_NAME.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks import beat_report
from benchmarks.beat_chaos import chaos
from benchmarks.beat_container import container, why_not
from benchmarks.beat_cost import burst, idle
from benchmarks.beat_failover import failovers
from benchmarks.beat_outage import outage, sentinel
from benchmarks.beat_sites import SIDES, Maker
from benchmarks.report import bare_parser, positive


def main() -> int:
    """Measure, print, and return the exit code."""
    given = _parser().parse_args()
    return int(given.run(given, [_maker(given, side) for side in given.side or given.sides]))


def _maker(given: argparse.Namespace, side: str) -> Maker:
    return Maker(side=side, lock=given.lock, loop=given.loop, words=given.words)


def run_chaos(given: argparse.Namespace, makers: Sequence[Maker]) -> int:
    outcomes = []
    for maker in makers:
        number = given.stock if maker.side == "stock" else given.beats
        outcomes.append(chaos(maker, minutes=given.minutes, number=number, seed=given.seed, aim=given.aim))
        beat_report.print_details(outcomes[-1])
    return beat_report.print_chaos(given.minutes, given.seed, outcomes)


def run_failover(given: argparse.Namespace, makers: Sequence[Maker]) -> int:
    return beat_report.print_failovers([failovers(each, given.kills, given.terms, given.seed) for each in makers])


def run_outage(given: argparse.Namespace, makers: Sequence[Maker]) -> int:
    found = [each for maker in makers for each in outage(maker, given.seconds)]
    found += [sentinel(maker) for maker in makers]
    return beat_report.print_outages(found)


def run_container(given: argparse.Namespace, makers: Sequence[Maker]) -> int:
    problem = why_not()
    if problem:
        print(problem, file=sys.stderr)
        return 2
    return beat_report.print_container(container(makers[0], given.minutes, given.seed))


def run_cost(given: argparse.Namespace, makers: Sequence[Maker]) -> int:
    code = beat_report.print_idle([idle(maker, given.seconds) for maker in makers], given.seconds)
    pair = [maker for maker in makers if maker.side != "redbeat"]
    return max(code, beat_report.print_burst(burst(pair, given.pairs))) if given.pairs and len(pair) == 2 else code


def _parser() -> argparse.ArgumentParser:
    made = bare_parser(__doc__)
    scenarios = made.add_subparsers(required=True, metavar="SCENARIO")
    one = _scenario(scenarios, "chaos", run_chaos, SIDES)
    one.add_argument("--minutes", type=float, default=10, metavar="N", help="how long for each side (10)")
    one.add_argument("--beats", type=positive, default=5, metavar="N", help="beats at a time (5)")
    one.add_argument("--stock", type=positive, default=2, metavar="N", help="beats at a time of stock (2)")
    one.add_argument(
        "--aim", type=float, default=0.25, metavar="SHARE", help="share of what hits the beat that sends (0.25)"
    )
    two = _scenario(scenarios, "failover", run_failover, ("ours", "redbeat"))
    two.add_argument("--kills", type=int, default=10, metavar="N", help="SIGKILLs of the beat that sends (10)")
    two.add_argument("--terms", type=int, default=10, metavar="N", help="SIGTERMs (10)")
    three = _scenario(scenarios, "outage", run_outage, SIDES)
    three.add_argument("--seconds", type=float, default=10, metavar="N", help="how long the server is away (10)")
    four = _scenario(scenarios, "container", run_container, ("ours",))
    four.add_argument("--minutes", type=positive, default=10, metavar="N", help="minutes, and kills (10)")
    five = _scenario(scenarios, "cost", run_cost, SIDES)
    five.add_argument("--seconds", type=float, default=30, metavar="N", help="how long to look at an idle beat (30)")
    five.add_argument("--pairs", type=int, default=5, metavar="N", help="pairs of bursts; 0 for none (5)")
    return made


def _scenario(scenarios, name, run, sides) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    made: argparse.ArgumentParser = scenarios.add_parser(name)
    made.set_defaults(run=run, sides=sides)
    made.add_argument(
        "--side", action="append", choices=sides, help=f"one side, more than once for more ({', '.join(sides)})"
    )
    made.add_argument("--lock", type=float, default=5, metavar="SECONDS", help="redbeat_lock_timeout (5)")
    made.add_argument("--loop", type=float, default=1, metavar="SECONDS", help="beat_max_loop_interval for RedBeat (1)")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="the same number, the same events (1)")
    made.add_argument("words", nargs="*", metavar="-- OPTIONS", help="options for manage.py runbeat")
    return made


if __name__ == "__main__":
    sys.exit(main())
