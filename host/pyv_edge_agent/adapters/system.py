"""SystemAdapter: one figure of the computer that the agent runs on.

What this computer doesn't have is an error, never a 0. Rates and the share of the CPU are
those since the read before.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..clock import Clock
from ..errors import AdapterError
from ..metrics import cpu_percent, cpu_times, temperatures

WINDOW_MS_MIN = 100  # a rate over less says nothing

# beginning of the metric's name: whose counter it is, and which of psutil's
_COUNTERS = {
    "network_received": ("network", "bytes_recv"),
    "network_sent": ("network", "bytes_sent"),
    "disk_read": ("disk", "read_bytes"),
    "disk_written": ("disk", "write_bytes"),
}


class SystemAdapter:
    """One metric of the computer, from psutil."""

    def __init__(
        self,
        device: Mapping[str, Any],
        clock: Clock,
        *,
        psutil: Any = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Prepare the metric of a checked device table, and look once if it needs two looks.

        `wait` is told for how many seconds to wait if the second would come too soon.
        """
        self._metric: str = device["metric"]
        self._path: str = device["path"]
        self._source: str = device["source"]
        self._clock = clock
        self._psutil = psutil or _import_psutil()
        self._wait = wait or threading.Event().wait
        self._looked_ms = clock.monotonic_ms()
        self._before: tuple[float, float] | None = None
        if self._metric == "cpu_percent":
            self._before = cpu_times(self._psutil)
        elif self._metric.endswith("_rate"):
            with suppress(AdapterError):  # the first read says so, if it is still so
                self._before = self._count()

    def read(self) -> float:
        """Return the current value. Raises AdapterError if there is none."""
        metric = self._metric
        if metric.endswith("_bytes"):
            return self._count()[0]
        if metric.endswith("_rate"):
            return self._rate()
        ask: Callable[[], float] = getattr(self, f"_{metric}")
        try:
            return float(ask())
        except OSError as error:
            raise AdapterError(f"{metric}: {error}") from None

    # -- what psutil knows at once -----------------------------------------------------

    def _ram_percent(self) -> float:
        return float(self._psutil.virtual_memory().percent)

    def _swap_percent(self) -> float:
        swap = self._psutil.swap_memory()
        if not swap.total:
            raise AdapterError("swap_percent: this computer has no swap")
        return float(swap.percent)

    def _disk_percent(self) -> float:
        return float(self._psutil.disk_usage(self._path).percent)

    def _load_1(self) -> float:
        return float(self._psutil.getloadavg()[0])

    def _temperature(self) -> float:
        found = temperatures(self._psutil)
        if not found:
            raise AdapterError("temperature: this computer tells none")
        return self._of_source(found) if self._source else next(iter(found.values()))

    def _uptime_seconds(self) -> float:
        return self._clock.utc_ms() / 1000 - float(self._psutil.boot_time())

    # -- what needs two looks ------------------------------------------------------------

    def _cpu_percent(self) -> float:
        self._let_time_pass()
        before, now = self._before, cpu_times(self._psutil)
        assert before is not None
        share = cpu_percent(before, now)
        if share is None:
            raise AdapterError("cpu_percent: no processor time has passed since the last read")
        self._before = now
        return share

    def _rate(self) -> float:
        self._let_time_pass()
        before, now = self._before, self._count()
        self._before = now
        if before is None or now[0] < before[0] or now[1] <= before[1]:
            raise AdapterError(f"{self._metric}: its counter began anew; the next read has a rate")
        return (now[0] - before[0]) / (now[1] - before[1])

    def _let_time_pass(self) -> None:
        """Let the first read not follow the first look at once."""
        left_ms = WINDOW_MS_MIN - (self._clock.monotonic_ms() - self._looked_ms)
        if left_ms > 0:
            self._wait(left_ms / 1000)

    def _count(self) -> tuple[float, float]:
        """Return a counter in bytes, and when that was, in seconds."""
        kind, field = _COUNTERS[self._metric.rpartition("_")[0]]
        psutil = self._psutil
        try:
            if self._source and kind == "network":
                found = self._of_source(psutil.net_io_counters(pernic=True))
            elif self._source:
                found = self._of_source(psutil.disk_io_counters(perdisk=True) or {})
            elif kind == "network":
                found = psutil.net_io_counters()
            else:
                found = psutil.disk_io_counters()
        except (OSError, NotImplementedError) as error:  # a /proc that is hidden
            raise AdapterError(f"{self._metric}: {error}") from None
        if found is None:
            raise AdapterError(f"{self._metric}: this computer counts no bytes of its {kind}")
        return float(getattr(found, field)), self._clock.monotonic_ms() / 1000

    def _of_source(self, found: Mapping[str, Any]) -> Any:
        if self._source not in found:
            known = ", ".join(sorted(found)) or "none"
            raise AdapterError(f"{self._metric}: there is no {self._source!r}; there are: {known}")
        return found[self._source]


def _import_psutil() -> Any:
    import psutil  # only where a device needs it

    return psutil
