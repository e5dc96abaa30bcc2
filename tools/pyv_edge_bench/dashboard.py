"""What is asked of a running agent: its metrics, a chart of 30 days, its page."""

import json
from functools import cache

from .child import lines_of
from .figure import Measured

_TIMEOUT_S = 1200


def metrics() -> list[Measured]:
    """Measure a scrape of 50 devices with 500 channels, and what one a second takes."""
    return _measure("metrics")


def chart() -> list[Measured]:
    """Measure a chart of one channel over 30 days, 2.6 million readings. Takes a minute."""
    return _measure("chart")


def first_paint() -> list[Measured]:
    """Measure how soon a real browser shows the page."""
    return [one for one in _measure("page") if one.name == "page.first_paint_ms"]


def page_bytes() -> list[Measured]:
    """Measure all files of the page."""
    return [one for one in _measure("page") if one.name == "page.bytes"]


@cache  # several figures are of one run
def _measure(name: str) -> list[Measured]:
    last = lines_of("measure", name, timeout_s=_TIMEOUT_S)[-1]
    return [Measured(name, unit, values) for name, unit, values in json.loads(last)]
