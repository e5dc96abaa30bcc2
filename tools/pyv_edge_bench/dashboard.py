"""What is asked of a running agent: its metrics, a chart of 30 days, its page."""

import json
from functools import cache

from .child import lines_of
from .figure import Measured

_TIMEOUT_S = 1200


def metrics() -> list[Measured]:
    """Measure a scrape of 50 devices with 500 channels."""
    return _of("metrics", "health.metrics_ms", "health.metrics_bytes")


def metrics_cpu() -> list[Measured]:
    """Measure what one scrape a second takes of a core."""
    return _of("metrics", "health.metrics_cpu_percent")


def chart() -> list[Measured]:
    """Measure a chart of one channel over 30 days, 2.6 million readings. Takes a minute."""
    return _measure("chart")


def first_paint() -> list[Measured]:
    """Measure how soon a real browser shows the page."""
    return _of("page", "page.first_paint_ms")


def page_bytes() -> list[Measured]:
    """Measure all files of the page."""
    return _of("page", "page.bytes")


def _of(measure: str, *names: str) -> list[Measured]:
    return [one for one in _measure(measure) if one.name in names]


@cache  # several figures are of one run
def _measure(name: str) -> list[Measured]:
    last = lines_of("measure", name, timeout_s=_TIMEOUT_S)[-1]
    return [Measured(name, unit, values) for name, unit, values in json.loads(last)]
