"""manage.py preparedemo: the tables of the demo site, and a user for its admin."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import BaseCommand, CommandError, call_command

NAME = "demo"


class Command(BaseCommand):
    help = "Make the tables of the demo site and the user 'demo' for its admin, and print a new password for it."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The user of the demo is for development: DEBUG is off.")
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        password = secrets.token_urlsafe(9)
        user, _ = User.objects.get_or_create(username=NAME, defaults={"is_staff": True, "is_superuser": True})
        user.set_password(password)
        user.save(update_fields=["password"])
        self.stdout.write(f"Admin: user {NAME}, password {password}")
