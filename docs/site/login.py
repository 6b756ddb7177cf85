"""A middleware for the pictures of the admin: a browser without hands cannot fill its form."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from project.demo.management.commands.preparedemo import NAME


class LogIn:
    """Every request is one of the user of the demo, who may do everything."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.user = User.objects.get(username=NAME)
        return self.get_response(request)
