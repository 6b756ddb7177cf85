"""A job of django-extensions, which beat sends once a day."""

from __future__ import annotations

import json
import logging

from django_extensions.management.jobs import DailyJob

from project.demo.tasks import REPORTS

logger = logging.getLogger(__name__)


class Job(DailyJob):
    help = "Log the warmest place of the weather reports."

    def execute(self) -> None:
        warmest = max(json.loads(REPORTS.read_text()), key=lambda report: report["celsius"])
        logger.info("The warmest place is %s, with %d degrees.", warmest["place"], warmest["celsius"])
