"""What --help of the commands for failed tasks ends with."""

from __future__ import annotations

from tasktools.management.epilog_text import UNIMPORTABLE, epilog

FAILED_EPILOGS = {
    "showfailed": epilog(
        (
            ("showfailed", "what failed and was not sent again, the newest first"),
            ("showfailed --group --since 1d", "counts by task and exception"),
            ("showfailed 219acb28", "all of one: arguments, traceback, message, history"),
        ),
        {0: "", 1: UNIMPORTABLE, 2: "", 4: "no failed task is like that", **dict.fromkeys((69, 74, 130), "")},
    ),
    "retryfailed": epilog(
        (
            ("retryfailed 219acb28", "sends that one again, as it came"),
            ("retryfailed 12 --edit", "that in row 12 of showfailed, with other arguments"),
            ("retryfailed --task report --since 2h --rate 10", "ten a second, after a question"),
        ),
        {
            0: "",
            1: f"something was not sent, the answer was no, or {UNIMPORTABLE}",
            2: "",
            4: "no failed task is like that; nothing was sent",
            69: "broker or database unreachable; what was sent until then is printed",
            74: "",
            130: "interrupted: Ctrl+C, SIGTERM or SIGHUP; what was sent until then is printed",
        },
    ),
    "forgetfailed": epilog(
        (
            ("forgetfailed --mended", "those that have succeeded since, after a question"),
            ("forgetfailed --before 30d --noinput", "what is older than a month"),
        ),
        {
            0: "",
            1: f"the answer was no, or {UNIMPORTABLE}",
            2: "",
            4: "no failed task is like that; nothing was removed",
            **dict.fromkeys((69, 74, 130), ""),
        },
    ),
}
