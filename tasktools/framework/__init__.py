"""Django's Tasks framework on Celery: `tasktools.backend` sends by it, workers run by it."""
