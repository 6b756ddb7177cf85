import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="FailedTask",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False, unique=True, verbose_name="key")),
                ("task_id", models.CharField(db_index=True, max_length=255, verbose_name="task id")),
                ("task", models.CharField(max_length=255, verbose_name="task")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("raised", "raised an exception"),
                            ("retries", "failed after its last retry"),
                            ("rejected", "rejected its message"),
                            ("soft_limit", "exceeded its soft time limit"),
                            ("hard_limit", "exceeded its time limit"),
                            ("lost", "was lost with its process"),
                            ("unregistered", "is not registered in the worker"),
                            ("undecodable", "has a message that cannot be decoded"),
                            ("callback", "succeeded, and its callback could not be sent"),
                            ("chord", "belongs to a chord that failed"),
                            ("terminated", "was terminated by revoke"),
                        ],
                        max_length=20,
                        verbose_name="how",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("failed", "failed"),
                            ("sending", "being sent again"),
                            ("sent", "sent again"),
                            ("mended", "mended"),
                        ],
                        default="failed",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("exception", models.CharField(blank=True, max_length=255, verbose_name="exception")),
                ("reason", models.TextField(blank=True, verbose_name="reason")),
                ("traceback", models.TextField(blank=True, verbose_name="traceback")),
                ("arguments", models.TextField(blank=True, verbose_name="arguments")),
                ("queue", models.CharField(blank=True, max_length=255, verbose_name="queue")),
                ("worker", models.CharField(blank=True, max_length=255, verbose_name="worker")),
                ("sent_at", models.DateTimeField(null=True, verbose_name="sent at")),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("failed_at", models.DateTimeField(db_index=True, verbose_name="failed at")),
                ("retries", models.PositiveIntegerField(default=0, verbose_name="retries")),
                ("failures", models.PositiveIntegerField(default=0, verbose_name="earlier failures")),
                ("retry_of", models.CharField(blank=True, db_index=True, max_length=255, verbose_name="retry of")),
                ("message", models.TextField(verbose_name="message")),
                ("body", models.BinaryField(null=True, verbose_name="body")),
                ("new_id", models.CharField(blank=True, db_index=True, max_length=255, verbose_name="new id")),
                ("sent_by", models.CharField(blank=True, max_length=255, verbose_name="sent by")),
                ("sent_again_at", models.DateTimeField(null=True, verbose_name="sent again at")),
                ("mended_at", models.DateTimeField(null=True, verbose_name="mended at")),
            ],
            options={
                "verbose_name": "failed task",
                "verbose_name_plural": "failed tasks",
                "ordering": ("-failed_at", "-id"),
                "permissions": (("retry_failedtask", "Can send failed tasks again"),),
                "indexes": [
                    models.Index(fields=["task", "exception", "queue"], name="tasktools_failed_group"),
                    models.Index(fields=["state", "failed_at"], name="tasktools_failed_state"),
                    models.Index(fields=["worker"], name="tasktools_failed_worker"),
                ],
            },
        ),
        migrations.CreateModel(
            name="TaskOverview",
            fields=[],
            options={
                "verbose_name": "tasks",
                "verbose_name_plural": "tasks",
                "permissions": (
                    ("pause_taskoverview", "Can pause and resume queues"),
                    ("revoke_taskoverview", "Can revoke tasks"),
                    ("run_taskoverview", "Can run entries of the schedule now"),
                ),
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("tasktools.failedtask",),
        ),
        migrations.CreateModel(
            name="Paused",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "what",
                    models.CharField(
                        choices=[("queue", "queue"), ("task", "task")], max_length=10, verbose_name="what"
                    ),
                ),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("since", models.DateTimeField(verbose_name="since")),
                ("until", models.DateTimeField(null=True, verbose_name="until")),
                ("by", models.CharField(blank=True, max_length=255, verbose_name="by")),
                ("reason", models.TextField(blank=True, verbose_name="reason")),
            ],
            options={
                "verbose_name": "pause",
                "verbose_name_plural": "pauses",
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("what", "name"), name="tasktools_paused_once")],
            },
        ),
    ]
