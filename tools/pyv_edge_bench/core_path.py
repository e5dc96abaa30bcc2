"""What a reading costs from its sensor to the wire, in units of one json.dumps.

Both are measured in turn in the same process (A B A B ...), so that whatever
else the machine does falls on both alike, and the ratio of each pair counts.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import workload
from .figure import Measured

REPEATS = 9
BATCH_MS = 80  # of each repeat; at least 50, so that no tick and no pause decides
_WORKLOAD = "reading_path"


def on_micropython() -> list[Measured]:
    """Measure the board's interpreter."""
    with TemporaryDirectory() as folder:
        lines = workload.on_micropython(_WORKLOAD, REPEATS, BATCH_MS, folder=Path(folder))
    return measured("micropython", lines)


def on_cpython() -> list[Measured]:
    """Measure this Python."""
    with TemporaryDirectory() as folder:
        lines = workload.on_cpython(_WORKLOAD, REPEATS, BATCH_MS, folder=Path(folder))
    return measured("cpython", lines)


def measured(interpreter: str, lines: list[dict[str, Any]]) -> list[Measured]:
    """Return the ratio and the profile that the workload's `lines` amount to."""
    us_each: dict[str, list[float]] = {}
    for line in lines:
        us_each.setdefault(line["part"], []).append(line["us"] / line["count"])
    ratios = [path / json for path, json in zip(us_each["path"], us_each["json"], strict=True)]
    profile = [
        Measured(f"core.path_us.{interpreter}.{part}", "us", values)
        for part, values in us_each.items()
    ]
    return [Measured(f"core.path_vs_json.{interpreter}", "ratio", ratios), *profile]
