"""What --help of pausequeue and resumequeue ends with (see epilogs.py)."""

from __future__ import annotations

from collections.abc import Mapping

PAUSE = (
    ("pausequeue mails", "no worker takes from the queue mails until resumequeue"),
    ("pausequeue mails slow --for 30m --reason upgrade", "until then, or for half an hour"),
    ("pausequeue --task report", "only shop.tasks.report; other tasks go on"),
    ("pausequeue", "what is paused, since when, by whom and why"),
)
RESUME = (
    ("resumequeue mails", "the workers take from the queue mails again"),
    ("resumequeue --task report", "what was put aside is next, in its order"),
    ("resumequeue --all", "all that is paused"),
)

#: The exit codes; "" for the usual meaning. The commands differ in one more.
CODES: Mapping[int, str] = {
    0: "",
    1: "",
    2: "",
    3: "done, but a worker has not confirmed it within 2 s",
    69: "the broker, or the database that keeps what is paused, cannot be reached",
    **dict.fromkeys((74, 130), ""),
}
NOT_PAUSED = "one of them is not paused; the others are resumed"
