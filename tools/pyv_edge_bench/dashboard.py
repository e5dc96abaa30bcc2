"""What is asked of a running agent: its metrics, a chart of 30 days, its page."""

from .child import measured
from .figure import Measured


def metrics() -> list[Measured]:
    """Measure a scrape of 50 devices with 500 channels."""
    return measured("metrics", "health.metrics_ms", "health.metrics_bytes")


def metrics_cpu() -> list[Measured]:
    """Measure what one scrape a second takes of a core. Takes minutes."""
    return measured("metrics", "health.metrics_cpu_percent")


def chart() -> list[Measured]:
    """Measure a chart of one channel over 30 days, 2.6 million readings. Takes a minute."""
    return measured("chart")


def first_paint() -> list[Measured]:
    """Measure how soon a real browser shows the page."""
    return measured("page")


def page_bytes() -> list[Measured]:
    """Measure all files of the page."""
    return measured("page_bytes")
