"""What the agent can say about the computer it runs on."""

import threading
from typing import Any

from .clock import Clock, SystemClock


class SystemMetrics:
    """CPU, memory, disk, temperature, uptime. Thread-safe; imports `psutil` on first use."""

    def __init__(self, disk_path: str = "/", clock: Clock | None = None) -> None:
        self._disk_path = disk_path
        self._clock = clock or SystemClock()
        self._start_ms = self._clock.monotonic_ms()
        self._lock = threading.Lock()  # around the CPU times of the call before
        self._cpu: tuple[float, float] | None = None  # (busy, total) seconds then

    def _cpu_percent(self, psutil: Any) -> float:
        """Return the share of CPU time used since the last call, 0.0 on the first."""
        times = psutil.cpu_times()
        total = float(sum(times[:8]))  # from guest on, the times are counted already
        busy = total - times.idle - getattr(times, "iowait", 0.0)
        with self._lock:
            before, self._cpu = self._cpu, (busy, total)
        if before is None or total <= before[1]:
            return 0.0
        share = (busy - before[0]) / (total - before[1])
        return round(100.0 * float(share), 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures; a temperature that the computer doesn't tell is None."""
        import psutil

        thermal = None
        if hasattr(psutil, "sensors_temperatures"):
            for readings in psutil.sensors_temperatures().values():
                if readings:
                    thermal = readings[0].current
                    break
        return {
            "cpu_percent": self._cpu_percent(psutil),
            "ram_percent": psutil.virtual_memory().percent,
            "disk_percent": psutil.disk_usage(self._disk_path).percent,
            "thermal_celsius": thermal,
            "uptime_seconds": (self._clock.monotonic_ms() - self._start_ms) / 1000,
            "timestamp": self._clock.utc_ms() / 1000,
        }
