"""Which Celery app this project uses."""
