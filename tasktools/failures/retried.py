"""What has become of failed tasks that were to be sent again."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasktools.exceptions import TasktoolsError


@dataclass(kw_only=True)
class Retried:
    """What has become of failed tasks that were to be sent again."""

    #: The primary key of the row, the id of the failed task, and its new id.
    sent: list[tuple[int, str, str]] = field(default_factory=list)
    #: The primary key of the row, and why it was not sent: a reason without a full stop.
    refused: list[tuple[int, str]] = field(default_factory=list)
    #: Nobody knows whether these were sent, or another process sends them at this moment.
    doubtful: list[tuple[int, str]] = field(default_factory=list)
    #: Another process has sent these, or sends them: in `again`, they are among the refused.
    elsewhere: list[tuple[int, str]] = field(default_factory=list)
    #: What is not as it came in the messages that were sent, by the primary key.
    notes: dict[int, tuple[str, ...]] = field(default_factory=dict)
    #: Whether they are sent when the transaction ends that was open then.
    is_deferred: bool = False
    #: Why the rest was not sent.
    error: TasktoolsError | None = None

    def add(self, other: Retried) -> None:
        self.sent += other.sent
        self.refused += other.refused
        self.doubtful += other.doubtful
        self.elsewhere += other.elsewhere
        self.notes |= other.notes
        self.error = self.error or other.error

    @property
    def ours(self) -> set[int]:
        """The primary keys of the rows of which this process has something to say."""
        return {pk for pk, _, _ in self.sent} | {pk for pk, _ in (*self.refused, *self.doubtful)}

    def settle(self) -> None:
        """Drop from `elsewhere` what this process has dealt with since, and what is in it twice."""
        ours = self.ours
        self.elsewhere = [(pk, why) for pk, why in dict(self.elsewhere).items() if pk not in ours]


#: The attribute of an error of `again` with what had been done.
_BEFORE = "_tasktools_retried"


def carry(error: TasktoolsError, done: Retried) -> None:
    """Let an error say what had been done before it."""
    error.__dict__[_BEFORE] = done


def before(error: TasktoolsError) -> Retried:
    """Return what `again` had done when it raised this error."""
    found: Retried = error.__dict__.get(_BEFORE) or Retried()
    return found
