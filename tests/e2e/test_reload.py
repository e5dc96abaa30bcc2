"""The configuration is read again and again while boards send: nothing is lost or doubled."""

import json
import signal

from rig import numbers, serial_device, wait_for

SIMULATED = {"name": "t1", "ingest_type": "simulator", "noise_std": 0.0, "interval_seconds": 0.05}


def test_readings_flow_on_through_reloads(boards, agents, receiver, tmp_path):
    plugged = [boards("north", sample_for_ms=6000), boards("south", sample_for_ms=6000)]
    devices = [serial_device(board.folder.name, board.path) for board in plugged]
    settings = {
        "sensors": {"devices": devices},
        "cloud": {"enabled": True, "endpoint": receiver.url, "retry_max_seconds": 0.2},
    }
    agent = agents(settings)
    base = json.loads(agent.config.read_text())
    for board in plugged:
        board.start()
    agent.start()
    out = {"sinks": {"file": {"enabled": True, "folder": str(tmp_path / "out")}}}
    changes = [
        {"rules": [{"name": "never", "above": 1e9}]},
        {"sensors": {"devices": [*devices, SIMULATED]}},
        {"privacy": {"rules": [{"pattern": "no.such", "action": "drop"}]}},
        out,
        {"windows": {"default_size": 10}},
        {"cloud": {**settings["cloud"], "batch_size": 7}},
        {"cloud": {"batch": 1}},  # a fault: all stays as it was
        out,  # last: a sink that is gone would be waited for
    ]

    def outcomes():
        text = agent.text()
        return text.count("another configuration holds") + text.count("goes on holding")

    for turn in range(24):
        agent.config.write_text(json.dumps({**base, **changes[turn % len(changes)]}))
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: outcomes() == turn + 1, f"reload {turn}")  # noqa: B023
    ledger = agent.wait_finished(2)
    assert agent.stop() == 0
    assert ledger.is_balanced
    assert (ledger.total("lost"), ledger.gaps) == (0, 0)
    for boot, found in numbers(agent.db).items():
        assert found == list(range(len(found))), boot
    sampled = sum(boot.sampled for boot in ledger.boots if boot.stream == "telemetry")
    assert receiver.store.stats()["unique"] == sampled
    assert "Traceback" not in agent.text()
