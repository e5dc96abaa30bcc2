"""When a board's uptime was, in the host's time, with a bound on the error.

A board has no clock. Each time exchange says that its uptime `u` was read
between the host's `sent` and `received`, so the offset (host minus board) lies
in `[sent - u, received - u]`: that much is certain, whatever the clocks do.
At other times it lies in that interval, wider by the drift, for every exchange
that is remembered: the bound is what they leave in common, so that a reading
taken before a long silence is dated by the exchange before it too.

The drift is at most DRIFT_PPM, the worst crystal we expect. Exchanges that
contradict one another at that prove it wrong: it is then taken to be twice what
they need, until an hour has passed in which none contradicts.

Host time here is the monotonic clock, so that a step of the computer's clock
moves no reading against another.
"""

import math

DRIFT_PPM = 500
EXCHANGES_MAX = 16  # remembered
KEPT_MS = 86_400_000  # an older exchange is the first to be forgotten
STEADY_MS = 3_600_000  # without a contradiction, before DRIFT_PPM is believed again
ERROR_MS_MAX = 2**43  # 279 years: beyond all uptimes and all that a store can hold
_EXCHANGE_SLACK_MS = 1  # both sides read clocks of whole milliseconds


class Timeline:
    """The offset between one boot's uptime and the host's monotonic clock."""

    def __init__(self) -> None:
        self.disagreements_total = 0  # exchanges that contradicted the ones before
        self.drift_ppm = float(DRIFT_PPM)
        self._exchanges: list[
            tuple[int, int, int]
        ] = []  # (uptime, lowest, highest offset), sorted
        self._raised_ms = 0  # uptime, when the drift was last found to be more than thought
        self._contradicted_ms = 0  # uptime, when an exchange last contradicted DRIFT_PPM

    def exchange(self, uptime_ms: int, sent_ms: int, received_ms: int) -> None:
        """Learn that the uptime was read between two moments of the host."""
        low = sent_ms - uptime_ms - _EXCHANGE_SLACK_MS
        high = received_ms - uptime_ms + _EXCHANGE_SLACK_MS
        self._judge_drift((uptime_ms, low, high))
        if any(self._says_more(one, (uptime_ms, low, high)) for one in self._exchanges):
            return
        new = (uptime_ms, low, high)
        self._exchanges = [one for one in self._exchanges if not self._says_more(new, one)]
        self._exchanges.append(new)
        self._exchanges.sort()  # a board whose uptime goes back is broken, and must break no more
        if len(self._exchanges) > EXCHANGES_MAX:
            del self._exchanges[self._least_needed()]

    def bound(self, first_uptime_ms: int, last_uptime_ms: int) -> tuple[int, int] | None:
        """Return (offset, error) in ms for all times from first to last uptime.

        Host time is uptime + offset, within the error. None before the first exchange.
        """
        if not self._exchanges:
            return None
        low, high = self._interval(first_uptime_ms)
        if last_uptime_ms > first_uptime_ms:
            last_low, last_high = self._interval(last_uptime_ms)
            # In between, the offset can leave what both ends allow, and has to come back.
            drift = self._drift_ms(last_uptime_ms - first_uptime_ms)
            low, high = (low + last_low - drift) / 2, (high + last_high + drift) / 2
        offset = round((low + high) / 2)
        # Rounding costs up to a half, and an uptime of whole milliseconds is up to one too early.
        return offset, min(math.ceil((high - low) / 2 + 1.5), ERROR_MS_MAX)

    def _interval(self, uptime_ms: int) -> tuple[float, float]:
        """Return what all exchanges together leave for the offset at one time."""
        if self.drift_ppm > DRIFT_PPM:
            return self._doubtful_interval(uptime_ms)
        low, high = -math.inf, math.inf
        for at_ms, lowest, highest in self._exchanges:
            # Once or twice for each batch, so without calls.
            drift = (uptime_ms - at_ms) * (DRIFT_PPM / 1_000_000)
            if drift < 0:
                drift = -drift
            if lowest - drift > low:
                low = lowest - drift
            if highest + drift < high:
                high = highest + drift
        return low, high

    def _doubtful_interval(self, uptime_ms: int) -> tuple[float, float]:
        """Return what the exchanges before and after a time allow, either of them.

        Clocks that have parted faster than they can may have done so in one jump.
        """
        before = [one for one in self._exchanges if one[0] <= uptime_ms][-1:]
        after = [one for one in self._exchanges if one[0] >= uptime_ms][:1]
        near = [(one, self._drift_ms(uptime_ms - one[0])) for one in (*before, *after)]
        return min(one[1] - drift for one, drift in near), max(
            one[2] + drift for one, drift in near
        )

    def _drift_ms(self, span_ms: int) -> float:
        return abs(span_ms) * self.drift_ppm / 1_000_000

    def _says_more(self, one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
        """Return whether an exchange bounds the offset at least as well as another everywhere."""
        drift = self._drift_ms(one[0] - other[0])
        return one[1] - drift >= other[1] and one[2] + drift <= other[2]

    def _least_needed(self) -> int:
        """Return the index of the exchange to forget: many of late, few of long ago."""
        times = [one[0] for one in self._exchanges]
        newest = times[-1]
        if newest - times[0] > KEPT_MS:
            return 0

        def loss(index: int) -> float:
            return (times[index + 1] - times[index - 1]) / (newest - times[index] + 1)

        return min(range(1, len(times) - 1), key=loss)

    def _judge_drift(self, new: tuple[int, int, int]) -> None:
        """Find out how fast the clocks must have parted for `new` to be possible."""
        uptime_ms = new[0]
        needed_ppm = recent_ppm = 0.0
        for at_ms, low, high in self._exchanges:
            parted_ms = max(new[1] - high, low - new[2])
            if parted_ms > 0:
                ppm = parted_ms * 1_000_000 / max(abs(uptime_ms - at_ms), 1)
                needed_ppm = max(needed_ppm, ppm)
                if at_ms >= self._raised_ms:
                    recent_ppm = max(recent_ppm, ppm)
        if recent_ppm > DRIFT_PPM:
            self._contradicted_ms = uptime_ms
        if needed_ppm > self.drift_ppm:
            self.disagreements_total += 1
            self.drift_ppm = 2 * needed_ppm
            self._raised_ms = self._contradicted_ms = uptime_ms
        elif self.drift_ppm > DRIFT_PPM and uptime_ms - self._contradicted_ms >= STEADY_MS:
            # It was a jump and not a crystal. What lies before it is of no use any more.
            self.drift_ppm = float(DRIFT_PPM)
            self._exchanges = [one for one in self._exchanges if one[0] >= self._contradicted_ms]
