"""Sources of readings, one file each, and how the agent asks them.

An adapter is any object with one of `read()`, `generate_batch()` and
`generate_reading()`, tried in that order; each may return a number, a dict with
"value", a SensorReading, or a list or iterator of these, whose last or next one
counts. `close()`, if it has one, is called at the end.
"""

import math
import random
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..errors import AdapterError
from ..options import need_extra

METHODS = ("read", "generate_batch", "generate_reading")
_DEPTH_MAX = 3  # generate_batch returns a list of lists of dicts


def create_adapter(
    device: dict[str, Any],
    clock: Clock,
    folder: Path = Path(),
    rng: random.Random | None = None,
) -> Any:
    """Return a new adapter for a checked device table, whose paths count from `folder`.

    Opens nothing; `rng` is for its back-offs. Raises AdapterError if there is none,
    StartError without the package that it needs.
    """
    kind = device["ingest_type"]
    if kind == "simulator":
        from .simulator import open_simulator

        return open_simulator(device, clock)
    if kind == "file":
        from .file_replay import FileReplayAdapter
        from .file_tail import FileTailAdapter

        if device["mode"] == "tail":
            return FileTailAdapter(device, clock, folder)
        return FileReplayAdapter(device, clock, folder)
    if kind == "system":
        from .system import SystemAdapter

        return SystemAdapter(device, clock)
    if kind == "serial":
        from .serial import SerialAdapter

        return SerialAdapter(device)
    if kind == "http":
        from .http_receive import HTTPAdapter

        return HTTPAdapter(device, clock, folder)
    if kind == "http_poll":
        from .http_poll import HTTPPollAdapter

        return HTTPPollAdapter(device, clock, folder)
    if kind == "mqtt":
        need_extra("mqtt", f"device {device['name']}")
        from .mqtt import MQTTAdapter

        return MQTTAdapter(device, clock, folder, rng or random.Random())
    from .third_party import ThirdPartyAdapter, find_entry

    return ThirdPartyAdapter(device, clock, find_entry(kind))


def read_value(adapter: Any) -> float:
    """Return the adapter's current value.

    Raises AdapterError if it has no method for that, nothing to give, or no
    finite number; whatever the adapter itself raises passes through.
    """
    for name in METHODS:
        method = getattr(adapter, name, None)
        if callable(method):
            return _number(method(), _DEPTH_MAX)
    raise AdapterError(f"{type(adapter).__name__} has none of {', '.join(METHODS)}")


def _number(found: Any, depth: int) -> float:
    if isinstance(found, Mapping):
        if "value" not in found:
            raise AdapterError("a reading without a value")
        found = found["value"]
    elif hasattr(found, "value"):
        found = found.value
    elif isinstance(found, (list, tuple)) and depth:
        if not found:
            raise AdapterError("no reading")
        return _number(found[-1], depth - 1)
    elif isinstance(found, Iterator) and depth:
        for first in found:
            return _number(first, depth - 1)
        raise AdapterError("no reading")
    if isinstance(found, bool) or not isinstance(found, Real):
        raise AdapterError(f"a value of type {type(found).__name__}")
    try:
        value = float(found)
    except OverflowError:
        raise AdapterError("a value beyond all floats") from None
    if not math.isfinite(value):
        raise AdapterError(f"a value that is {value}")
    return value
