"""`python -m measure NAME`: measure, and print [[name, unit, [values]], ...] as JSON."""

import json
import sys
import tempfile
from pathlib import Path

from . import dashboard, idle, memory, mqtt, store, sync

MEASURES = {
    "commit": store.commit,
    "disk": store.disk,
    "large": store.large,
    "drain": sync.drain,
    "rss": memory.rss,
    "idle": idle.idle,
    "growth": memory.growth,
    "mqtt": mqtt.mqtt,
    "metrics": dashboard.metrics,
    "chart": dashboard.chart,
    "page": dashboard.page,
}

with tempfile.TemporaryDirectory(prefix="pyv-measure-") as folder:
    print(json.dumps(MEASURES[sys.argv[1]](Path(folder))))
