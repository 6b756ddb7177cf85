"""What tasktools keeps in the database: the tasks that failed, and what is paused where the broker cannot keep it."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasktools import terminal


class Kind(models.TextChoices):
    """How a task failed."""

    RAISED = "raised", _("raised an exception")
    RETRIES = "retries", _("failed after its last retry")
    REJECTED = "rejected", _("rejected its message")
    SOFT_LIMIT = "soft_limit", _("exceeded its soft time limit")
    HARD_LIMIT = "hard_limit", _("exceeded its time limit")
    LOST = "lost", _("was lost with its process")
    UNREGISTERED = "unregistered", _("is not registered in the worker")
    UNDECODABLE = "undecodable", _("has a message that cannot be decoded")
    CALLBACK = "callback", _("succeeded, and its callback could not be sent")
    CHORD = "chord", _("belongs to a chord that failed")
    TERMINATED = "terminated", _("was terminated by revoke")


class State(models.TextChoices):
    """What has become of a failed task since then."""

    FAILED = "failed", _("failed")
    #: Claimed by a process that sends it; if that process has ended, `retryfailed` goes on with it.
    SENDING = "sending", _("being sent again")
    SENT = "sent", _("sent again")
    MENDED = "mended", _("mended")


class FailedTask(models.Model):
    """A task that ended badly, with its message as the broker gave it."""

    #: Of the failure that the row records: no row is written twice, although a commit's answer is lost.
    key = models.UUIDField(_("key"), default=uuid.uuid4, unique=True, editable=False)
    task_id = models.CharField(_("task id"), max_length=255, db_index=True)
    #: The name of the task; "" if the message does not tell it.
    task = models.CharField(_("task"), max_length=255)
    kind = models.CharField(_("how"), max_length=20, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.FAILED)
    #: The name of the exception's class with its module, as "builtins.ValueError"; "" if there is none.
    exception = models.CharField(_("exception"), max_length=255, blank=True)
    #: What the exception says, or why the message was dropped.
    reason = models.TextField(_("reason"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)
    #: The arguments for a person to read: a JSON object {"args": [...], "kwargs": {...}}, masked; "" if unreadable or dropped.
    arguments = models.TextField(_("arguments"), blank=True)
    queue = models.CharField(_("queue"), max_length=255, blank=True)
    #: The name of the worker's node.
    worker = models.CharField(_("worker"), max_length=255, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    failed_at = models.DateTimeField(_("failed at"), db_index=True)
    #: How often Celery had retried it.
    retries = models.PositiveIntegerField(_("retries"), default=0)
    #: How many failures of this call came before, counted over what `retryfailed` sent again.
    failures = models.PositiveIntegerField(_("earlier failures"), default=0)
    #: The id of the failed task whose message was sent again as this one; "" for a first failure.
    retry_of = models.CharField(_("retry of"), max_length=255, blank=True, db_index=True)
    #: The message without its body, as `failures.message.Kept.text` writes it.
    message = models.TextField(_("message"))
    #: The body, byte for byte; None if it is not kept: by the hook that masks arguments, or because it was too big.
    body = models.BinaryField(_("body"), null=True)
    #: The id under which it is or was sent again.
    new_id = models.CharField(_("new id"), max_length=255, blank=True, db_index=True)
    #: Who sent it again: a name of Django's user, or the name of the account that ran the command.
    sent_by = models.CharField(_("sent by"), max_length=255, blank=True)
    sent_again_at = models.DateTimeField(_("sent again at"), null=True)
    mended_at = models.DateTimeField(_("mended at"), null=True)

    class Meta:
        verbose_name = _("failed task")
        verbose_name_plural = _("failed tasks")
        ordering = ("-failed_at", "-id")
        permissions = (("retry_failedtask", "Can send failed tasks again"),)
        indexes = (
            # Also for the filters of the admin, which read the values of each of these columns.
            models.Index(fields=("task", "exception", "queue"), name="tasktools_failed_group"),
            models.Index(fields=("state", "failed_at"), name="tasktools_failed_state"),
            models.Index(fields=("worker",), name="tasktools_failed_worker"),
        )

    def __str__(self) -> str:
        return terminal.line(f"{self.task or '?'} {self.task_id}")


class TaskOverview(FailedTask):
    """The page "Tasks" of the admin, which has permissions and a place in the admin's index, and no rows.

    It is a proxy: a model without a table (managed = False) would make `dumpdata` of the whole site fail.
    """

    class Meta:
        proxy = True
        verbose_name = _("tasks")
        verbose_name_plural = _("tasks")
        default_permissions = ("view",)
        permissions = (
            ("pause_taskoverview", "Can pause and resume queues"),
            ("revoke_taskoverview", "Can revoke tasks"),
            ("run_taskoverview", "Can run entries of the schedule now"),
        )


class Paused(models.Model):
    """A queue or a task that is paused, for brokers that cannot keep it themselves."""

    class What(models.TextChoices):
        """What a pause holds."""

        QUEUE = "queue", _("queue")
        TASK = "task", _("task")

    what = models.CharField(_("what"), max_length=10, choices=What.choices)
    name = models.CharField(_("name"), max_length=255)
    since = models.DateTimeField(_("since"))
    #: When it ends by itself; None for never.
    until = models.DateTimeField(_("until"), null=True)
    by = models.CharField(_("by"), max_length=255, blank=True)
    reason = models.TextField(_("reason"), blank=True)

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        default_permissions = ()  # it has no page; `pause_taskoverview` is who may pause
        constraints = (models.UniqueConstraint(fields=("what", "name"), name="tasktools_paused_once"),)

    def __str__(self) -> str:
        return f"{self.what} {self.name}"
