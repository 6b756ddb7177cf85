"""A form whose view enqueues a slow call, and a page that polls the result until it is there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery.result import AsyncResult
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from project.demo.forms import GreetingForm
from project.demo.tasks import greet


def start(request: HttpRequest) -> HttpResponse:
    """Show the form; on POST enqueue the call and go to its page at once."""
    form = GreetingForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        sent = greet.delay(form.cleaned_data["name"])
        return redirect("demo:result", task_id=sent.id)
    return render(request, "demo/start.html", {"form": form})


def result(request: HttpRequest, task_id: UUID) -> HttpResponse:
    """Show the page that asks for the state of a call until it is final."""
    return render(request, "demo/result.html", {"task_id": task_id})


def state(request: HttpRequest, task_id: UUID) -> JsonResponse:
    """Return the state of a call as JSON. It does not include the details of an error."""
    found: AsyncResult[Any] = AsyncResult(str(task_id))
    now = found.state
    answer = found.result if now == "SUCCESS" else None
    return JsonResponse({"state": now, "result": answer, "finished": now in ("SUCCESS", "FAILURE", "REVOKED")})
