"""What is wrong between the settings of a device that reads a file, of which each is right."""

from collections.abc import Iterator, Mapping
from typing import Any


def check_file(device: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key of each wrong setting and what is wrong with it."""
    path = device.get("path", "?")  # it may be missing, which is known by now
    if not path:
        yield "path", "must not be empty"
    if device["mode"] == "tail":
        if path.endswith(".gz"):
            yield "path", 'is packed; only mode = "replay" unpacks'
        return
    if device["loop"] and device["times"] == "file":
        yield "loop", 'would store the same times again; it needs times = "now"'
    if device["speed"] and not device["time_path"]:
        yield "time_path", "must be given, unless speed is 0: it says what is due when"
