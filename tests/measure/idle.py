"""What an agent takes of a core when it has next to nothing to do."""

import json
import re
import threading
import time
import urllib.request

import psutil
from rig import AgentProcess, wait_for

DEVICES = 4
SETTLED = 3 * DEVICES  # readings after which it has opened all that it needs
WINDOWS = 5
WINDOW_S = 30.0  # the kernel tells CPU time in steps of 10 ms


def _readings(agent):
    (url,) = set(re.findall(r"http://[0-9.]+:\d+/health", agent.text()))
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.loads(reply.read())["agent"]["readings_processed"]


def idle(folder):
    """Measure a real agent that polls four simulated devices once a second, without a cloud."""
    devices = [{"name": f"s{number}", "ingest_type": "simulator"} for number in range(DEVICES)]
    sensors = {"poll_interval_seconds": 1.0, "devices": devices}
    # As it is by default: a commit a second.
    agent = AgentProcess(folder, {"sensors": sensors, "storage": {"commit_interval_ms": 1000}})
    agent.start()
    percents = []
    try:
        wait_for(lambda: _readings(agent) >= SETTLED, "the first readings")
        process = psutil.Process(agent.process.pid)
        pause = threading.Event()
        before = _readings(agent)
        for _ in range(WINDOWS):
            began_s, used_s = time.monotonic(), sum(process.cpu_times()[:2])
            pause.wait(WINDOW_S)
            used_s = sum(process.cpu_times()[:2]) - used_s
            percents.append(100 * used_s / (time.monotonic() - began_s))
        taken = _readings(agent) - before
    finally:
        agent.kill()
    expected = DEVICES * WINDOWS * WINDOW_S
    assert taken >= 0.9 * expected, f"{taken} readings of {expected:.0f}: it did not do its work"
    return [["agent.idle_cpu_percent", "percent", percents]]
