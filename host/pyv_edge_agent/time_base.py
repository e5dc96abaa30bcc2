"""Which moment of the monotonic clock was when in UTC.

Readings are dated on the monotonic clock, and made UTC by an offset that is held,
so that all that is dated together keeps its distances. Linux slews both clocks
alike: the offset changes only when somebody sets the clock. When the two clocks
part from the held offset by more than STEP_MS that was a step, and another time
segment is due; by less, it goes into the bound on the error.

For the agent's thread, which commits what it has before it adopts a segment; the
figures and `upload_wait` are for anybody.
"""

import logging

from .clock import Clock
from .store import TIME_GOOD, TimeSegment, TimeSegments

logger = logging.getLogger(__name__)

STEP_MS = 10
JUMP_MS = 3_600_000  # a clock set forward by more: what is old by it may not be
LOG_MS = 60_000  # steps are logged so often at most; each is in the store
_MEASURE_MAX = 5  # tries to read both clocks at one moment
_ROUNDING_MS = 1  # both are read in whole milliseconds


class TimeBase:
    """The offset in force, and what has to be done when it is no longer the right one."""

    def __init__(
        self, segments: TimeSegments, clock: Clock, run_id: str, *, source: str = "ntp"
    ) -> None:
        """Go on with the store's last segment if it still holds, else begin one.

        `source` says who sets the clock: "ntp" if the kernel knows whether it is right,
        "trusted" if it always is. `run_id` stands for a boot of the computer that has no
        name. Raises StoreError.
        """
        self.source = source
        self.steps_total = 0
        self.jumps_total = 0  # of them, by more than JUMP_MS into the future
        self.retimed_total = 0  # readings
        self._segments = segments
        self._clock = clock
        self._host_boot = clock.boot_id() or f"run-{run_id}"
        self._started_ms = clock.monotonic_ms()
        self._logged_ms: int | None = None
        self._retimed = 0  # since that was last logged
        self._is_in_doubt = False  # whether the store may hold a later segment than ours
        self._is_synchronised = self._ask()
        offset_ms, self._error_ms = self._measure()
        before = segments.latest(self._host_boot)
        if before is not None and self._holds(before, offset_ms, self._error_ms):
            self.segment = before
            self._widen(offset_ms, 0)
        else:
            self.segment = self._begin(offset_ms)
            if before is not None:
                self._note(before)
        if not self.is_synchronised:
            logger.warning(
                "the clock of this computer is not known to be right: readings are marked as unset"
                " until it is synchronised"
            )
        self.is_retiming = segments.is_due(self.segment)

    # -- figures -------------------------------------------------------------------

    @property
    def is_synchronised(self) -> bool:
        """Whether the clock is known to be right."""
        return self.segment.is_synchronised

    @property
    def error_ms(self) -> int:
        """How far UTC may be from what the clock says, by the offset alone."""
        return self._error_ms + _ROUNDING_MS

    def utc_ms(self) -> int:
        """Return now, by the segment in force."""
        return self._clock.monotonic_ms() + self.segment.offset_ms

    def rule_ms(self) -> int:
        """Return now as rules know it: a time that never jumps while the computer runs."""
        return self._clock.monotonic_ms() + self.segment.rule_offset_ms

    def upload_wait(self, patience_ms: int) -> str:
        """Return why readings should not be uploaded yet, "" if they should.

        For a clock that isn't set nobody waits longer than `patience_ms` from the start.
        """
        if self.is_retiming:
            return "times of readings are being corrected"
        waited_ms = self._clock.monotonic_ms() - self._started_ms
        if self.segment.time_quality != TIME_GOOD and waited_ms < patience_ms:
            return "the clock of this computer is not set yet"
        return ""

    # -- the agent's thread --------------------------------------------------------

    def look(self) -> bool:
        """Compare the clocks; return whether another segment is due, see `adopt`."""
        self._is_synchronised = self._ask()
        offset_ms, spread_ms = self._measure()
        if self._is_in_doubt or not self._holds(self.segment, offset_ms, spread_ms):
            return True
        self._widen(offset_ms, spread_ms)
        return False

    def adopt(self) -> None:
        """Begin the segment that is due; nothing may be left uncommitted. Raises StoreError."""
        self._is_synchronised = self._ask()  # anew: the commit before may have taken long
        offset_ms, spread_ms = self._measure()
        # A disk can fail behind the commit: then rows that follow would belong to a segment that
        # we don't know of, even if the clock is by then as it was before.
        self._is_in_doubt = True
        before, begun = self.segment, self._begin(offset_ms)
        self._is_in_doubt = False
        # As far as known; and before the uploader can see that the clock is set.
        self.is_retiming = True
        self.segment, self._error_ms = begun, spread_ms
        self._note(before)

    def begin_anew(self) -> None:
        """Go on in another store, which may know less. Raises StoreError."""
        self._is_in_doubt = True
        offset_ms, self._error_ms = self._measure()
        self.segment = self._begin(offset_ms)
        self._is_in_doubt = False
        self.is_retiming = self._segments.is_due(self.segment)

    def retime(self) -> bool:
        """Correct a piece of what is dated wrong; return whether there was one.

        Raises StoreError, and has done nothing.
        """
        if not self.is_retiming:
            return False
        count = self._segments.retime(self.segment)
        self.retimed_total += count or 0
        self._retimed += count or 0
        self.is_retiming = self._segments.is_due(self.segment)
        if self._retimed and not self.is_retiming:
            logger.info("%d readings are dated anew: the clock has been set", self._retimed)
            self._retimed = 0
        return count is not None

    # -- inside --------------------------------------------------------------------

    def _ask(self) -> bool:
        return self.source == "trusted" or self._clock.is_synchronised()

    def _measure(self) -> tuple[int, int]:
        """Return the offset as it is now, and how long it took to read both clocks."""
        best = None
        for _ in range(_MEASURE_MAX):
            before_ms = self._clock.monotonic_ms()
            utc_ms = self._clock.utc_ms()
            spread_ms = self._clock.monotonic_ms() - before_ms
            if best is None or spread_ms < best[1]:
                best = (utc_ms - before_ms - spread_ms // 2, spread_ms)
            if spread_ms <= _ROUNDING_MS:
                break
        assert best is not None
        return best

    def _holds(self, segment: TimeSegment, offset_ms: int, spread_ms: int) -> bool:
        is_far = abs(offset_ms - segment.offset_ms) > STEP_MS + spread_ms
        return not is_far and segment.is_synchronised == self._is_synchronised

    def _widen(self, offset_ms: int, spread_ms: int) -> None:
        """Let the bound have room for where the clock was found to be."""
        departed_ms = abs(offset_ms - self.segment.offset_ms) - spread_ms - _ROUNDING_MS
        self._error_ms = max(self._error_ms, departed_ms)

    def _begin(self, offset_ms: int) -> TimeSegment:
        return self._segments.begin(
            self._host_boot,
            self._clock.monotonic_ms(),
            offset_ms,
            is_synchronised=self._is_synchronised,
        )

    def _note(self, before: TimeSegment) -> None:
        """Count and log what made the segment begin."""
        step_ms = self.segment.offset_ms - before.offset_ms
        if abs(step_ms) > STEP_MS:
            self.steps_total += 1
            self.jumps_total += step_ms > JUMP_MS and before.is_synchronised
            now_ms = self._clock.monotonic_ms()
            if self._logged_ms is None or now_ms - self._logged_ms >= LOG_MS:
                self._logged_ms = now_ms
                logger.warning(
                    "the clock was set by %.3f s, %d times since the start; the store has each",
                    step_ms / 1000,
                    self.steps_total,
                )
        if self.is_synchronised != before.is_synchronised:
            logger.info(
                "the clock is synchronised"
                if self.is_synchronised
                else "the clock is not synchronised any more; times are marked as unset"
            )
