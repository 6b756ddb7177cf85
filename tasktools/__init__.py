"""Celery's manage.py commands for Django. Importing this package imports neither Celery nor rich."""

__version__ = "0.1.0"
