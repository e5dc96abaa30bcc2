"""When which device is polled: all at the common interval, some at one of their own."""

from collections.abc import Iterable


class PollSchedule:
    """The times of polls. Those that were missed are counted, and not made up for."""

    def __init__(self, interval_ms: float, now_ms: int) -> None:
        """Poll at `interval_ms` from now on, unless a device has its own."""
        self.common_ms = interval_ms  # of devices that have no interval of their own
        self.missed_total = 0  # polls of a device for which it was too late
        self._intervals: dict[str, float] = {}  # by device
        self._due: dict[float, float] = {interval_ms: float(now_ms)}  # by interval

    def set(self, devices: Iterable[tuple[str, float]], now_ms: int) -> None:
        """Poll these devices, each given with its interval in ms; 0: the common one."""
        self._intervals = {name: own or self.common_ms for name, own in devices}
        intervals = {self.common_ms, *self._intervals.values()}
        self._due = {one: self._due.get(one, float(now_ms)) for one in intervals}

    @property
    def count(self) -> int:
        """How many devices are polled."""
        return len(self._intervals)

    @property
    def due_ms(self) -> float:
        """When the next poll is due."""
        return min(self._due.values())

    @property
    def shortest_ms(self) -> float:
        """The shortest interval there is."""
        return min(self._due)

    def take(self, now_ms: int) -> list[str] | None:
        """Return the devices that are due, which are then due an interval later.

        None if no interval is over; no devices if one is over that none has.
        """
        over = [interval for interval, due_ms in self._due.items() if due_ms <= now_ms]
        if not over:
            return None
        for interval in over:
            missed = int((now_ms - self._due[interval]) // interval)
            self.missed_total += missed * list(self._intervals.values()).count(interval)
            self._due[interval] += (1 + missed) * interval
        return [name for name, interval in self._intervals.items() if interval in over]
