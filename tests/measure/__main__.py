"""`python -m measure NAME`: measure, and print [[name, unit, [values], is_fixed], ...] as JSON.

is_fixed, whether one value is enough, is left out where it is false. Without a program that
the measurement needs it ends with 69 and says which.
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest

from . import dashboard, idle, memory, mqtt, scale, store, sync, wire

MEASURES = {
    "commit": store.commit,
    "disk": store.disk,
    "large": store.large,
    "drain": sync.drain,
    "rss": memory.rss,
    "idle": idle.idle,
    "growth": memory.growth,
    "mqtt": mqtt.mqtt,
    "wire": wire.wire,
    "metrics": dashboard.metrics,
    "chart": dashboard.chart,
    "page": dashboard.page,
    **{f"scale_{axis}": scale.measure_of(axis) for axis in scale.AXES},
    **{f"scale_{axis}_small": scale.measure_of(axis, scale.SMALL) for axis in scale.AXES},
    "page_bytes": dashboard.page_bytes,
}

LACKS_PROGRAM = 69  # EX_UNAVAILABLE

with tempfile.TemporaryDirectory(prefix="pyv-measure-") as folder:
    try:
        found = MEASURES[sys.argv[1]](Path(folder))
    except pytest.skip.Exception as error:  # so the servers of the tests say it
        print(error, file=sys.stderr)
        sys.exit(LACKS_PROGRAM)
    print(json.dumps(found))
