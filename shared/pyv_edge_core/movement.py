"""The conditions of rules about how a value moves. See `condition` for their methods."""

from ._compat import TYPE_CHECKING, const
from .condition import Level
from .quantity import real, scaled

if TYPE_CHECKING:
    from typing import Any

    from .rule import Rule

_SAMPLES = const(8)  # of a rate's window
_SLOTS = const(10)  # one sample before the window, one behind it


class Rate:
    """The change over a window, by its oldest and its newest reading.

    None until there are readings over half of the window. Which is the oldest is
    known to an eighth of the window: of readings closer together the first counts.
    """

    quiet = None
    window = None
    is_moment = False

    def __init__(self, rule: "Rule", exponent: "int | None", mask: int) -> None:
        self._level = Level(rule, exponent)
        self._mask = mask
        self._window_ms = rule.window_ms
        self._per = rule.per_ms * self._level.denominator
        self._times = [0] * _SLOTS
        self._values: list[Any] = [0] * _SLOTS
        self._oldest = 0
        self._count = 0
        self.save = self._level.save
        self.restore = self._level.restore

    def restart(self) -> None:
        """Forget the window."""
        self._count = 0

    def test(self, time_ms: int, value: "Any") -> "bool | None":
        """Judge the change up to this reading."""
        mask = self._mask
        times = self._times
        oldest = self._oldest
        # One sample may be older than the window: the change is then known over all of it.
        while (
            self._count > 1 and (time_ms - times[(oldest + 1) % _SLOTS]) & mask >= self._window_ms
        ):
            oldest = (oldest + 1) % _SLOTS
            self._count -= 1
        self._oldest = oldest
        newest = (oldest + self._count - 1) % _SLOTS
        if not self._count or ((time_ms - times[newest]) & mask) * _SAMPLES >= self._window_ms:
            place = (oldest + self._count) % _SLOTS
            times[place] = time_ms
            self._values[place] = value
            self._count += 1
        elapsed_ms = (time_ms - times[oldest]) & mask
        if elapsed_ms * 2 < self._window_ms or not elapsed_ms:
            return None
        return self._level.judge((value - self._values[oldest]) * self._per, elapsed_ms)


class Stuck:
    """A value that has stayed within a range for a time."""

    quiet = None
    window = None
    is_moment = False

    def __init__(self, rule: "Rule", exponent: "int | None", mask: int) -> None:
        self._mask = mask
        self._stuck_ms = rule.stuck_ms
        self._size = _size(rule, exponent)
        self._is_known = False
        self._since_ms = 0
        self._low: Any = 0
        self._high: Any = 0

    def test(self, time_ms: int, value: "Any") -> "bool | None":
        """Judge how long the value has not moved."""
        low = min(self._low, value)
        high = max(self._high, value)
        if not self._is_known or high - low > self._size:
            self._is_known = True
            self._since_ms = time_ms
            low = high = value
        self._low = low
        self._high = high
        if (time_ms - self._since_ms) & self._mask < self._stuck_ms:
            return False
        self._since_ms = (time_ms - self._stuck_ms) & self._mask  # else it would be new one day
        return True

    def restart(self) -> None:
        """Begin with the next reading."""
        self._is_known = False

    def save(self) -> "list[Any]":
        """Return the state."""
        return [int(self._is_known), self._since_ms, self._low, self._high]

    def restore(self, state: "list[Any]") -> None:
        """Take over a saved state."""
        known, self._since_ms, self._low, self._high = state
        self._is_known = known == 1


class Deadband:
    """A value that has moved away from where it was at the last event."""

    quiet = None
    window = None
    is_moment = True

    def __init__(self, rule: "Rule", exponent: "int | None") -> None:
        self._size = _size(rule, exponent)
        self._is_known = False
        self._reference: Any = 0
        self._latest: Any = 0

    def test(self, time_ms: int, value: "Any") -> "bool | None":
        """Judge how far the value is from the last event's."""
        if not self._is_known:
            self._is_known = True
            self._reference = value
        self._latest = value
        return bool(abs(value - self._reference) > self._size)

    def fired(self) -> None:
        """Measure from the latest value on."""
        self._reference = self._latest

    def restart(self) -> None:
        """Do nothing: a reference has no time."""

    def save(self) -> "list[Any]":
        """Return the state."""
        return [int(self._is_known), self._reference, self._latest]

    def restore(self, state: "list[Any]") -> None:
        """Take over a saved state."""
        known, self._reference, self._latest = state
        self._is_known = known == 1


def _size(rule: "Rule", exponent: "int | None") -> "Any":
    return real(rule.size) if exponent is None else scaled(rule.size, exponent, False)
