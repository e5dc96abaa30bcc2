"""What a configuration says of the agent's parts, in the units that they are built with."""

import threading
from typing import Any

from .config import Config
from .recent import Recent
from .store import Limits

MEGABYTE = 1_048_576


def new_buffer(config: Config) -> Recent:
    """Return an empty buffer for the latest values of one device."""
    windows = config.get("windows")
    return Recent(windows["default_size"], windows["dtype"], threading.Lock())


def store_limits(config: Config) -> Limits:
    """Return how much room the store may take."""
    storage = config.get("storage")
    max_size, min_free, keep_size = (
        round(storage[name] * MEGABYTE) for name in ("max_mb", "min_free_mb", "keep_mb")
    )
    return Limits(max_size, min_free, keep_size, storage["high_water"], storage["low_water"])


def queue_size_max(config: Config) -> int:
    """Return the most bytes of queued items."""
    return int(config.get("cloud", "queue_max_mb") * MEGABYTE)


def split_devices(tables: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the names of the boards among devices, and of the others."""
    boards: list[str] = []
    others: list[str] = []
    for table in tables:
        (boards if table["ingest_type"] == "serial" else others).append(table["name"])
    return boards, others
