"""The watchdog: fed while every worker moves, and the worker named that doesn't.

A service manager that is not fed in time ends the process and starts it again, which loses
nothing that was acknowledged. That a cloud or a port can't be reached is no reason: whoever
waits for it says so, and moves. For one thread, that has nothing else to wait for.
"""

import logging
from collections.abc import Callable

from .clock import Clock
from .heartbeat import Heartbeats
from .notify import Notifier

logger = logging.getLogger(__name__)

LOOK_MS = 1000  # between two looks at the workers
STATUS_MS = 30_000  # a manager that does not want to be fed is told so often how it all is


class Watchdog:
    """Looks after the workers of a running agent."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        notifier: Notifier,
        clock: Clock,
        status: Callable[[], str],
    ) -> None:
        """Begin to look; `status` says in one line how the agent is."""
        self._heartbeats = heartbeats
        self._notifier = notifier
        self._clock = clock
        self._status = status
        self._feed_ms = notifier.watchdog_ms // 2 or STATUS_MS  # half, says sd_watchdog_enabled(3)
        self._fed_ms: int | None = None
        self._late: dict[str, int] = {}  # since when its last beat is, of each that is late

    def step(self) -> int:
        """Look at the workers and feed if it is time; return when to look again, in ms."""
        now_ms = self._clock.monotonic_ms()
        late = {one.name: now_ms - one.quiet_ms() for one in self._heartbeats.late()}
        if late.keys() != self._late.keys():
            self._tell(late, now_ms)
        self._late = late
        if not late and (self._fed_ms is None or now_ms - self._fed_ms >= self._feed_ms):
            self._fed_ms = now_ms
            self._notifier.feed(self._status())
        return min(LOOK_MS, self._feed_ms // 2)

    def _tell(self, late: dict[str, int], now_ms: int) -> None:
        for name in sorted(late.keys() - self._late.keys()):
            logger.error(
                "worker %s does not move: it was last seen %d s ago; the watchdog is not fed",
                *(name, (now_ms - late[name]) // 1000),
            )
        for name in sorted(self._late.keys() - late.keys()):
            logger.warning(
                "worker %s moves again after %d s", name, (now_ms - self._late[name]) // 1000
            )
        if late:
            self._notifier.status(f"not moving: {', '.join(sorted(late))}")
