"""What the agent can say about the computer it runs on."""

import threading
from typing import Any

from .clock import Clock, SystemClock


def cpu_times(psutil: Any) -> tuple[float, float]:
    """Return for how many seconds the processors were busy, of how many in all."""
    times = psutil.cpu_times()
    total = float(sum(times[:8]))  # from guest on, the times are counted already
    return total - times.idle - getattr(times, "iowait", 0.0), total


def cpu_percent(before: tuple[float, float], now: tuple[float, float]) -> float | None:
    """Return the share of time that was busy between two looks; None if no time passed."""
    passed = now[1] - before[1]
    return round(100.0 * (now[0] - before[0]) / passed, 1) if passed > 0 else None


def temperatures(psutil: Any) -> dict[str, float]:
    """Return what each sensor of the computer says, in degrees Celsius, by chip or chip/label."""
    if not hasattr(psutil, "sensors_temperatures"):
        return {}
    found: dict[str, float] = {}
    for chip, readings in psutil.sensors_temperatures().items():
        for index, reading in enumerate(readings):
            label = reading.label or (str(index) if len(readings) > 1 else "")
            found[f"{chip}/{label}" if label else chip] = reading.current
    return found


class SystemMetrics:
    """CPU, memory, disk, temperature, uptime. Thread-safe; imports `psutil` on first use."""

    def __init__(self, disk_path: str = "/", clock: Clock | None = None) -> None:
        self._disk_path = disk_path
        self._clock = clock or SystemClock()
        self._start_ms = self._clock.monotonic_ms()
        self._lock = threading.Lock()  # around the CPU times of the call before
        self._cpu: tuple[float, float] | None = None

    def _cpu_percent(self, psutil: Any) -> float:
        """Return the share of CPU time used since the last call, 0.0 on the first."""
        now = cpu_times(psutil)
        with self._lock:
            before, self._cpu = self._cpu, now
        return (cpu_percent(before, now) or 0.0) if before is not None else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the figures; a temperature that the computer doesn't tell is None."""
        import psutil

        return {
            "cpu_percent": self._cpu_percent(psutil),
            "ram_percent": psutil.virtual_memory().percent,
            "disk_percent": psutil.disk_usage(self._disk_path).percent,
            "thermal_celsius": next(iter(temperatures(psutil).values()), None),
            "uptime_seconds": (self._clock.monotonic_ms() - self._start_ms) / 1000,
            "timestamp": self._clock.utc_ms() / 1000,
        }
