"""Measures the Linux machine it runs on, by way of /proc (man 5 proc).

load_1m            runnable processes, mean over a minute, hundredths
memory_available   KiB that programs could still have
cpu_busy           time all cores have worked since boot, hundredths of a second
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.reading import Channel

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section


def _line(path: str, start: bytes) -> "list[bytes]":
    """Return the fields of the first line of `path` that begins with `start`."""
    with open(path, "rb") as file:
        for _ in range(8):
            line = file.readline()
            if line.startswith(start):
                return line.split()
    raise OSError("%s has no line %r" % (path, start))


class Sensor:
    """Load, available memory and busy CPU time of this machine."""

    def __init__(self, section: "Section", board: "Any") -> None:
        self.channels = [
            Channel("load_1m", "/", -2),
            Channel("memory_available", "KiB", 0),
            Channel("cpu_busy", "s", -2),
        ]
        self.values = array("i", [0, 0, 0])

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Read /proc. Raises OSError where it isn't Linux's."""
        whole, _, hundredths = _line("/proc/loadavg", b"")[0].partition(b".")
        ticks = _line("/proc/stat", b"cpu ")
        self.values[0] = int(whole) * 100 + int(hundredths)
        self.values[1] = int(_line("/proc/meminfo", b"MemAvailable:")[1])
        # user, nice, system, then irq, softirq, steal; ticks are 10 ms on every Linux we know
        busy = int(ticks[1]) + int(ticks[2]) + int(ticks[3]) + int(ticks[6]) + int(ticks[7])
        self.values[2] = busy & 0x7FFFFFFF
