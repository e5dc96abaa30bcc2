"""Polling: asks devices for their values, and knows which of them fail.

A device that fails holds up nobody: what is stored of it is of quality bad, or nothing. The
first failure in a row is logged, and the recovery.

One cycle at a time asks; what it tells of failures may be looked at by any thread.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, QUALITY_NAMES

from .adapters import read_value
from .clock import Clock
from .config import Config
from .errors import StoreError
from .heartbeat import Heartbeat
from .poll_schedule import PollSchedule
from .series import polled_names
from .types import SensorReading

if TYPE_CHECKING:
    from .devices import Devices
    from .ingest import Ingest

logger = logging.getLogger(__name__)


@dataclass
class PollFailure:
    """What is known of a device whose last poll failed."""

    since_ms: int  # monotonic
    count: int = 0  # of polls, in a row
    problem: str = ""  # why its adapter failed, as far as it may be told


class Polling:
    """Polls devices, and goes on counting from one start of the agent to the next."""

    def __init__(self, lock: threading.Lock, clock: Clock) -> None:
        """Begin without devices; `lock` is held while what was read is added."""
        self._clock = clock
        self.failing: dict[str, PollFailure] = {}  # by device
        self.failures_total = 0  # of adapters
        self.skipped_total = 0  # polls whose reading there was no room for, or no store
        self.schedule: PollSchedule | None = None
        self._missed_before = 0  # by schedules that there are no more
        self._keeps_failures = True  # a failure is stored, as a reading of quality bad
        self._lock = lock

    def begin(self) -> None:
        """Know nothing of devices any more; call `plan` next."""
        self.failing.clear()
        self._missed_before = self.missed_total
        self.schedule = None

    @property
    def missed_total(self) -> int:
        """How many polls were not made because it was too late: the next one was due."""
        return self._missed_before + (0 if self.schedule is None else self.schedule.missed_total)

    def plan(self, devices: "Devices", config: Config, now_ms: int) -> None:
        """Poll each device at its interval, the ones there are."""
        self._keeps_failures = config.get("sensors", "on_error") != "skip"
        interval_ms = config.get("sensors", "poll_interval_seconds") * 1000
        if self.schedule is None or self.schedule.common_ms != interval_ms:
            self._missed_before = self.missed_total
            self.schedule = PollSchedule(interval_ms, now_ms)
        self.schedule.set(
            [
                (name, table["interval_seconds"] * 1000)
                for name in devices.polled
                if (table := devices.table(name)) is not None
            ],
            now_ms,
        )

    def forget(self, name: str) -> None:
        """Know nothing of a device any more."""
        self.failing.pop(name, None)

    def poll(
        self,
        names: list[str],
        read: Callable[[str], float],
        devices: "Devices",
        ingest: "Ingest",
        heartbeat: Heartbeat,
    ) -> None:
        """Ask these devices for a value each, by `read`, and give `ingest` what they say.

        While it has no room, polls are skipped. Raises what `read` does.
        """
        for name in names:
            if not ingest.has_room:
                self.skipped_total += 1
                continue
            heartbeat.beat()
            device = devices.table(name)
            if device is None:
                continue  # a reload has taken it away
            value = read(name)
            quality = QUALITY_BAD if name in self.failing else QUALITY_GOOD
            if quality == QUALITY_BAD and not self._keeps_failures:
                continue
            with self._lock:
                if devices.table(name) is device:
                    self._add(ingest, device, value, quality)
                # Else a reload has come between: what was read is of another device.

    def _add(self, ingest: "Ingest", device: dict[str, Any], value: float, quality: int) -> None:
        name = device["name"]
        metadata = {} if quality == QUALITY_GOOD else {"quality": QUALITY_NAMES[quality]}
        taken = ingest.time.utc_ms() / 1000
        reading = SensorReading(name, taken, value, device["unit"], metadata)
        try:
            ingest.add_polled(device, reading, quality)
        except StoreError as error:
            self.skipped_total += 1
            logger.error("can't store %s: %s", name, error)

    def read(self, name: str, adapter: Any, privacy: PrivacyPolicy) -> float:
        """Return the current value of a device, 0.0 if its adapter fails or there is none."""
        if adapter is None:
            self._failed(name, "")
            return 0.0
        try:
            value = read_value(adapter)
        except Exception as exc:  # top of a thread: an adapter may be anybody's code
            problem = _shown(name, exc, privacy)
            if name not in self.failing:
                logger.warning("Adapter read failed for %s: %s", name, problem)
            self._failed(name, problem)
            self.failures_total += 1
            return 0.0
        failure = self.failing.pop(name, None)
        if failure is not None:
            logger.warning("Adapter of %s reads again after %d failures", name, failure.count)
        return value

    def _failed(self, name: str, problem: str) -> None:
        failure = self.failing.get(name) or PollFailure(self._clock.monotonic_ms())
        failure.count += 1
        failure.problem = problem or failure.problem
        self.failing[name] = failure


def _shown(name: str, error: Exception, privacy: PrivacyPolicy) -> str:
    """Return what may be logged of a failed read: its text may hold the value."""
    rule = privacy.decide(*polled_names(name), name)
    return str(error) if privacy.action(rule) == "allow" else type(error).__name__
