"""A package with an adapter of its own: DS18B20 thermometers, as Linux shows them.

$ pip install .
$ export W1_SLAVE=/sys/bus/w1/devices/28-0316a2795cff/w1_slave
$ pyv-edge-host run --config edge.toml &
$ pyv-edge-host query --config edge.toml
time                  sensor  value   unit  quality  time_quality
2026-05-28T20:20:00Z  cellar  21.562  Cel   good     good
"""

from pathlib import Path
from typing import Any

from pyv_edge_agent.clock import Clock
from pyv_edge_agent.errors import AdapterError


class OneWireThermometer:
    """One thermometer on the bus."""

    def __init__(self, device: dict[str, Any], clock: Clock) -> None:
        """Remember where it is, as `options` of the device say."""
        self._path = Path(device["options"]["path"])

    def read(self) -> float:
        """Return degrees Celsius."""
        try:
            lines = self._path.read_text("ascii").splitlines()
        except OSError as error:
            raise AdapterError(f"the thermometer is not there: {error.strerror}") from None
        if len(lines) < 2 or not lines[0].endswith("YES"):
            raise AdapterError("what it said was damaged on its way")
        return int(lines[1].rpartition("t=")[2]) / 1000
