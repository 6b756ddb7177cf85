"""Forms whose views enqueue a slow call and one that fails, and a page that polls the result until it is there."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from celery.result import AsyncResult
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from project.demo.forms import GreetingForm
from project.demo.tasks import deliver, fahrenheit, greet


def start(request: HttpRequest) -> HttpResponse:
    """Show the form; on POST enqueue the call and go to its page at once."""
    form = GreetingForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        sent = greet.delay(form.cleaned_data["name"])
        return redirect("demo:result", task_id=sent.id)
    return render(request, "demo/start.html", {"form": form})


@require_POST
def send_parcel(request: HttpRequest) -> HttpResponse:
    """Enqueue a call that fails, and go to its page."""
    return redirect("demo:result", task_id=deliver.delay(random.randrange(1_000_000)).id)


@require_POST
def convert(request: HttpRequest) -> HttpResponse:
    """Enqueue a call of a task of Django's own framework, and go to its page: AsyncResult knows its result, too."""
    return redirect("demo:result", task_id=fahrenheit.enqueue(random.randrange(-10, 35)).id)


def result(request: HttpRequest, task_id: UUID) -> HttpResponse:
    """Show the page that asks for the state of a call until it is final."""
    return render(request, "demo/result.html", {"task_id": task_id})


def state(request: HttpRequest, task_id: UUID) -> JsonResponse:
    """Return the state of a call as JSON. It does not include the details of an error."""
    found: AsyncResult[Any] = AsyncResult(str(task_id))
    now = found.state
    answer = found.result if now == "SUCCESS" else None
    return JsonResponse({"state": now, "result": answer, "finished": now in ("SUCCESS", "FAILURE", "REVOKED")})
