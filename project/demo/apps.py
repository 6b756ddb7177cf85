"""The app config."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "project.demo"
