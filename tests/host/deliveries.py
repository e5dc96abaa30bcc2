"""What sinks are given: readings, and one item of each kind."""

import threading
from contextlib import contextmanager

from host.fakes import UTC_MS


def reading(seq, value=21.5, device="board-1", channel="temp", **more):
    return {
        "sensor_name": f"porch.{channel}",
        "timestamp": (UTC_MS + seq * 10) / 1000,
        "value": value,
        "unit": "Cel",
        "metadata": {
            "quality": "good" if value is not None else "bad",
            "device": device,
            "channel": channel,
            "boot": "0000abcd",
            "stream": "telemetry",
            "seq": seq,
            "time_error_ms": 2,
        },
        **more,
    }


def readings(first, count, **more):
    return [reading(seq, **more) for seq in range(first, first + count)]


ITEMS = [
    {
        "rule_name": "hot",
        "timestamp": UTC_MS / 1000,
        "severity": "critical",
        "message": 'porch.temp is "31.5", Cel',
        "sensor_readings": [],
        "metadata": {"state": "firing", "sensor_name": "porch.temp", "item_id": "s-1-5.000"},
    },
    {
        "type": "gap",
        "timestamp": UTC_MS / 1000,
        "device": "board-1",
        "boot": "0000abcd",
        "stream": "telemetry",
        "first_seq": 5,
        "last_seq": 9,
        "count": 5,
        "cause": "overwritten",
        "metadata": {"item_id": "s-2-5.000"},
    },
    {
        "type": "summary",
        "sensor_name": "porch.temp",
        "timestamp": UTC_MS / 1000,
        "period_s": 60,
        "unit": "Cel",
        "count": 2,
        "bad_count": 1,
        "min": 1.0,
        "max": 2.0,
        "mean": 1.5,
        "last": None,
        "metadata": {"device": "board-1", "channel": "temp", "item_id": "s-3-5.000"},
    },
    {
        "type": "audit_checkpoint",
        "timestamp": UTC_MS / 1000,
        "store_id": "s",
        "audit_id": 4,
        "hash": "ab",
        "metadata": {"item_id": "s-4-5.000"},
    },
]


@contextmanager
def in_a_thread(call):
    """Run `call` in a thread while the block lasts; yields a list that gets its result."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    yield found
    thread.join(60)
    assert not thread.is_alive(), "it does not end"
