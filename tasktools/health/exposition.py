"""Numbers -> the text that Prometheus reads. The only module that imports prometheus_client (the extra `metrics`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tasktools.health.gauge import Gauge
from tasktools.health.tally import BOUNDS, Histogram, Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST


def text(gauges: Iterable[Gauge], tally: Tally | None = None) -> bytes:
    """Return all of it."""

    class Collected(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _tasks(tally) if tally else ()
            yield from (_family(each) for each in gauges if each.values)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected())
    return generate_latest(registry)


def _family(gauge: Gauge) -> Metric:
    kind: Any = CounterMetricFamily if gauge.is_counter else GaugeMetricFamily
    family: Any = kind(gauge.name, gauge.text, labels=[gauge.label] if gauge.label else [])
    for label, value in gauge.values.items():
        family.add_metric([_plain(label)] if gauge.label else [], value)
    found: Metric = family
    return found


def _plain(label: str) -> str:
    """Return a label that can be encoded: a name may have half a character."""
    return label.encode(errors="replace").decode()


def _tasks(tally: Tally) -> Iterator[Metric]:
    states, running, waiting = tally.copies()
    counter = CounterMetricFamily(
        "tasktools_tasks", "Tasks by name and by what became of them.", labels=["task", "state"]
    )
    for (name, state), count in sorted(states.items()):
        counter.add_metric([_plain(name), state], count)
    yield counter
    yield _histogram("tasktools_task_running_seconds", "How long tasks ran.", running)
    yield _histogram(
        "tasktools_task_waiting_seconds", "How long tasks waited from when they could run until they began.", waiting
    )


def _histogram(name: str, text: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["task"])
    bounds = [*map(str, BOUNDS), "+Inf"]
    for task, each in sorted(histograms.items()):
        family.add_metric([_plain(task)], list(zip(bounds, accumulate(each.counts), strict=True)), each.total)
    return family
