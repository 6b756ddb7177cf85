"""What --help ends with: examples, and the exit codes with which the command can end."""

from __future__ import annotations

from collections.abc import Mapping

from tasktools.management import pause_epilogs
from tasktools.management.epilog_text import MEANINGS
from tasktools.management.epilog_text import UNIMPORTABLE as _UNIMPORTABLE
from tasktools.management.epilog_text import epilog as _epilog
from tasktools.management.failed_epilogs import FAILED_EPILOGS

__all__ = ["EPILOGS", "MEANINGS", "RUN_CODES"]

RUN_CODES: Mapping[int, str] = {
    0: "it was asked to stop and has",
    1: "a system check found something, the project cannot be imported, or Celery ended with an error",
    2: "what was typed or configured is wrong; nothing was started",
    69: "the private Valkey cannot be started, or the result backend cannot be reached",
    74: "",
}
_RUN_OTHER = "as Celery's own command"
_WATCHED = "interrupted: Ctrl+C; with --watch, SIGTERM and SIGHUP too"

#: By the name of the command.
EPILOGS = {
    **FAILED_EPILOGS,
    "enqueue": _epilog(
        (
            ("enqueue add 2 2", "sends shop.tasks.add, if no other task is called add"),
            ("enqueue add x=2 y=2 --wait", "and prints its result"),
            ("enqueue report --eta 2030-01-31T18:00 --queue slow", "for later, to that queue"),
            ("enqueue add --from numbers.csv --resume numbers", "a call for each line; again after a crash"),
        ),
        {
            0: "",
            1: "the task failed, was revoked or declined the call, its result cannot be read, --check found bad lines, "
            "or the project cannot be imported",
            **dict.fromkeys((2, 3, 69, 74), ""),
            130: "interrupted: Ctrl+C, SIGTERM or SIGHUP",
        },
    ),
    "taskresult": _epilog(
        (
            ("taskresult 219acb28-bca4-49af-954e-4f36ba7f33da", "its result, or where it is"),
            ("taskresult ID ID --wait --timeout 5m", "waits for both"),
            ("taskresult ID --traceback", "where the task failed"),
            ("taskresult ID --tree", "what it has called"),
        ),
        {
            0: "",
            1: "a task failed or was revoked, its result cannot be read, or the project cannot be imported",
            **dict.fromkeys((2, 3, 4, 69, 74), ""),
            130: "interrupted: Ctrl+C, SIGTERM or SIGHUP",
        },
    ),
    "runtask": _epilog(
        (
            ("runtask add 2 2", "runs shop.tasks.add and prints what it returns"),
            ("runtask report --pdb", "opens the debugger where it fails"),
            ("runtask fetch --serialize --retry-now", "what a worker would make of it"),
        ),
        {
            0: "",
            1: "the task failed, rejects its message or asks to be tried again, or the project cannot be imported",
            **dict.fromkeys((2, 74, 130), ""),
        },
    ),
    "showtasks": _epilog(
        (
            ("showtasks", "all tasks"),
            ("showtasks add", "those with add in their names"),
            ("showtasks 'shop.*' --json", "as JSON"),
        ),
        {0: "", 1: _UNIMPORTABLE, **dict.fromkeys((2, 74, 130), "")},
    ),
    "completion": _epilog(
        (
            ("completion bash >> ~/.bashrc", "from the next shell on"),
            ("completion zsh >> ~/.zshrc", "the same for zsh"),
            ("completion fish > ~/.config/fish/completions/manage.fish", "the same for fish"),
        ),
        {0: "", 1: _UNIMPORTABLE, **dict.fromkeys((2, 74, 130), "")},
    ),
    "celery": _epilog(
        (("celery inspect ping", "asks the workers"), ("celery purge -Q slow", "empties a queue")),
        dict.fromkeys((2, 69, 74, 130), ""),
        other="as Celery's own command",
    ),
    "runworker": _epilog(
        (
            ("runworker", "all CPUs, the queues of the project; reloads with DEBUG"),
            ("runworker -c 4 -Q mails,slow --grace 30s", "four processes, two queues, stops within 30 s"),
            ("runworker --drain -P solo", "does what waits, and stops"),
            ("runworker --health 8001", "answers http://127.0.0.1:8001/livez, /readyz and /metrics"),
        ),
        {**RUN_CODES, 0: "SIGTERM has stopped it", 1: f"{RUN_CODES[1]}, or Ctrl+C has stopped it"},
        other=_RUN_OTHER,
    ),
    "runbeat": _epilog(
        (
            ("runbeat", "sends what CELERY_BEAT_SCHEDULE says"),
            ("runbeat --no-standby", "ends if another beat is in charge"),
            ("runbeat --schedule /var/lib/site/schedule", "Celery's own scheduler, with its file there"),
        ),
        {**RUN_CODES, 75: ""},
        other=_RUN_OTHER,
    ),
    "showschedule": _epilog(
        (
            ("showschedule", "each entry, and which beat is in charge"),
            ("showschedule nightly --next 5", "five times of the entries with nightly in their name or task"),
            ("showschedule --at 2030-03-31T00:00", "as seen from then"),
            ("showschedule --overdue", "for a monitor: exit code 1 if beat has not sent what it should have"),
        ),
        {0: "", 1: f"--overdue has found entries, or {_UNIMPORTABLE}", **dict.fromkeys((2, 69, 74), "")},
    ),
    "purgequeue": _epilog(
        (
            ("purgequeue slow --dry-run", "how many messages wait in the queue slow"),
            ("purgequeue slow mails", "removes them all, after a question"),
            ("purgequeue celery --task report --noinput", "only those of shop.tasks.report; others keep their order"),
        ),
        {
            0: "",
            1: f"the answer was no, others changed a queue so much that messages may be left, or {_UNIMPORTABLE}",
            2: "",
            4: "there is no such queue; nothing was removed",
            **dict.fromkeys((69, 74), ""),
            130: "interrupted: Ctrl+C, SIGTERM or SIGHUP; what was removed until then is printed",
        },
    ),
    "pausequeue": _epilog(pause_epilogs.PAUSE, {**pause_epilogs.CODES, 1: _UNIMPORTABLE}),
    "resumequeue": _epilog(
        pause_epilogs.RESUME, {**pause_epilogs.CODES, 1: _UNIMPORTABLE, 4: pause_epilogs.NOT_PAUSED}
    ),
    "showqueues": _epilog(
        (
            ("showqueues", "each queue that is declared, read or holds anything"),
            ("showqueues mails --by-task", "what waits there, by the name of the task"),
            ("showqueues mails --peek 10", "the ten messages that workers get next"),
            ("showqueues --max 1000 --max-age 5m", "for an alert: exit code 1 if a queue is longer or older"),
        ),
        {
            0: "",
            1: f"a queue is above --max or --max-age, or nobody can know that; or {_UNIMPORTABLE}",
            **dict.fromkeys((2, 4, 69, 74), ""),
            130: _WATCHED,
        },
    ),
    "showworkers": _epilog(
        (
            ("showworkers", "each worker, its pool, queues, and how much it does"),
            ("showworkers --tasks", "what each runs, with arguments and time"),
            ("showworkers --json --timeout 3s", "as JSON; busy machines have three seconds to answer"),
        ),
        {
            0: "",
            1: _UNIMPORTABLE,
            2: "",
            69: "the broker does not answer, or there is no worker",
            74: "",
            130: _WATCHED,
        },
    ),
    "revoketask": _epilog(
        (
            ("revoketask 219acb28-bca4-49af-954e-4f36ba7f33da", "the worker that takes it discards it"),
            ("revoketask ID ID --terminate", "and ends those that run, after a question"),
            ("revoketask ID --terminate --signal KILL --noinput", "by another signal, without a question"),
        ),
        {
            0: "",
            1: f"the answer was no, a task that runs was not ended, or {_UNIMPORTABLE}",
            2: "",
            4: "no trace of a task; the workers have taken note all the same",
            69: "the broker does not answer, or no worker has confirmed",
            **dict.fromkeys((74, 130), ""),
        },
    ),
    "taskdoctor": _epilog(
        (
            ("taskdoctor", "the app, the settings and where they come from, the tasks, the checks"),
            ("taskdoctor --live", "asks the broker, the result backend, the workers and beat too"),
            ("taskdoctor --live --json", "for a monitor: exit code 1 if anything is wrong"),
        ),
        {0: "", 1: f"a line is an error, or {_UNIMPORTABLE}", **dict.fromkeys((2, 74, 130), "")},
    ),
    "watchtasks": _epilog(
        (
            ("watchtasks", "a line for each task that ends"),
            ("watchtasks --task 'shop.*' --failed", "only some, and only what has not succeeded"),
            ("watchtasks --top", "a table by name, redrawn each second; q quits"),
            ("watchtasks --json | jq .", "an object a line"),
        ),
        {
            0: "",
            1: _UNIMPORTABLE,
            **dict.fromkeys((2, 69, 74), ""),
            130: "interrupted: Ctrl+C, SIGTERM or SIGHUP",
        },
    ),
    "rundev": _epilog(
        (
            ("rundev", "web server, worker and beat"),
            ("rundev 0.0.0.0:8080 --no-beat", "another address, two parts"),
            ('rundev --worker "-c 2 -l DEBUG"', "options of runworker"),
        ),
        {**RUN_CODES, 130: "a second Ctrl+C: the parts are killed"},
        other="as the part that has ended by itself, which ends the rest",
    ),
}
