"""What the agent can say about the computer it runs on."""

import threading
from pathlib import Path
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


# Where the firmware of a Raspberry Pi says what it complains of, in hexadecimal, and its bits.
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_THROTTLED_FLAGS = {
    "under_voltage": 0,
    "frequency_capped": 1,
    "throttled": 2,
    "soft_temperature_limit": 3,
    "under_voltage_since_boot": 16,
    "frequency_capped_since_boot": 17,
    "throttled_since_boot": 18,
    "soft_temperature_limit_since_boot": 19,
}


def throttled(path: Path) -> dict[str, bool]:
    """Return the flags that the firmware has set or not; nothing on any other computer."""
    try:
        bits = int(path.read_text(encoding="ascii").strip(), 16)
    except (OSError, ValueError):
        return {}
    return {name: bool(bits >> bit & 1) for name, bit in _THROTTLED_FLAGS.items()}


class SystemMetrics:
    """CPU, memory, disk, temperature, uptime. Thread-safe; imports `psutil` on first use."""

    def __init__(
        self,
        disk_path: str = "/",
        clock: Clock | None = None,
        throttled_path: Path = THROTTLED,
    ) -> None:
        self.disk_path = disk_path
        self._throttled_path = throttled_path
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
        """Return the figures; what the computer doesn't tell is None.

        With `throttled`, a truth value by flag, on a Raspberry Pi.
        """
        import psutil

        flags = throttled(self._throttled_path)
        return {
            "cpu_percent": self._cpu_percent(psutil),
            "ram_percent": psutil.virtual_memory().percent,
            "disk_percent": self._disk_percent(psutil),
            "thermal_celsius": next(iter(temperatures(psutil).values()), None),
            "uptime_seconds": (self._clock.monotonic_ms() - self._start_ms) / 1000,
            "timestamp": self._clock.utc_ms() / 1000,
            **({"throttled": flags} if flags else {}),
        }

    def _disk_percent(self, psutil: Any) -> float | None:
        try:
            return float(psutil.disk_usage(self.disk_path).percent)
        except OSError:
            return None  # it isn't there any more
