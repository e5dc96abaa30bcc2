"""Whether a rule's condition holds for a channel: one class per kind, all with

test(time_ms, value)   True, False, or None while too little is known; readings in order
save(), restore(list)  what must survive a restart, as numbers; windows fill anew
restart()              forget all times: the clock has been set
quiet                  (low, high) between which a value that finds `is_true` false leaves
                       it false and changes nothing; None if there is no such range

Everything is compared in integers without rounding: a level that the channel
can't show is multiplied up, a mean is compared as its sum with level * count.
"""

from ._compat import TYPE_CHECKING, const
from .quantity import ratio, scaled
from .window import Window

if TYPE_CHECKING:
    from typing import Any

    from .rule import Rule

_SAMPLES = const(8)  # of a rate's window
_SLOTS = const(10)  # one sample before the window, one behind it


class Level:
    """Two levels with hysteresis: true outside low..high, false again inside the clear levels."""

    def __init__(self, rule: "Rule", exponent: "int | None") -> None:
        """Prepare for integers scaled by `exponent`, or plain numbers if that is None."""
        self.is_true = False
        levels = (rule.low, rule.high, rule.low_clear, rule.high_clear)
        self.denominator = 1
        bounds: list[Any] = []
        for level in levels:
            if level is None:
                bounds.append(None)
            elif exponent is None:
                bounds.append(level[0] / 10 ** level[1])
            else:
                numerator, denominator = ratio(level, exponent)
                # All get the greatest denominator, a power of ten.
                if denominator > self.denominator:
                    factor = denominator // self.denominator
                    bounds = [None if one is None else one * factor for one in bounds]
                    self.denominator = denominator
                bounds.append(numerator * (self.denominator // denominator))
        self._low, self._high, self._low_clear, self._high_clear = bounds
        quiet: list[Any] = [self._low, self._high]
        if self.denominator > 1:
            for index in (0, 1):
                if quiet[index] is not None:
                    quiet[index] //= self.denominator
            if quiet[0] is not None and quiet[0] * self.denominator < self._low:
                quiet[0] += 1
        self.quiet = (quiet[0], quiet[1])

    def judge(self, value: "Any", weight: int) -> bool:
        """Return whether value / (denominator * weight) is beyond the levels."""
        low = self._low_clear if self.is_true else self._low
        high = self._high_clear if self.is_true else self._high
        self.is_true = (low is not None and value < low * weight) or (
            high is not None and value > high * weight
        )
        return self.is_true

    def test(self, time_ms: int, value: "Any") -> "bool | None":
        """Judge one reading."""
        return self.judge(value * self.denominator, 1)

    def restart(self) -> None:
        """Do nothing: levels have no times."""

    def save(self) -> "list[Any]":
        """Return the state."""
        return [int(self.is_true)]

    def restore(self, state: "list[Any]") -> None:
        """Take over a saved state."""
        self.is_true = state[0] == 1


class Rate:
    """The change over a window, by its oldest and its newest reading.

    None until there are readings over half of the window. Which is the oldest is
    known to an eighth of the window: of readings closer together the first counts.
    """

    quiet = None

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


class Aggregate:
    """An aggregate of a window, in place of single readings."""

    quiet = None

    def __init__(self, rule: "Rule", exponent: "int | None", mask: int) -> None:
        self._aggregate = rule.aggregate
        # A count has no unit.
        is_count = rule.aggregate == "count" and exponent is not None
        self._level = Level(rule, 0 if is_count else exponent)
        self.window = Window(rule.window_ms, rule.step_ms, mask)
        self._is_tumbling = rule.window_ms == rule.step_ms
        self._is_known = not self._is_tumbling
        self.save = self._level.save
        self.restore = self._level.restore

    def restart(self) -> None:
        """Forget the window."""
        self.window.restart()
        self._is_known = not self._is_tumbling

    def test(self, time_ms: int, value: "Any") -> "bool | None":
        """Judge the window up to this reading; a tumbling one when it is over."""
        window = self.window
        if not self._is_tumbling:
            window.add(time_ms, value)
            return self._judge()
        if window.is_over(time_ms):
            self._judge()
            self._is_known = True
        window.add(time_ms, value)
        return self._level.is_true if self._is_known else None

    def _judge(self) -> bool:
        total = self.window.total
        kind = self._aggregate
        weight = 1
        if kind == "mean":
            value = total.total
            weight = total.count
        elif kind == "min":
            value = total.low
        elif kind == "max":
            value = total.high
        elif kind == "sum":
            value = total.total
        else:
            value = total.count if kind == "count" else total.high - total.low
        return self._level.judge(value * self._level.denominator, weight)


class Stuck:
    """A value that has stayed within a range for a time."""

    quiet = None

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


class Present:
    """True never: for rules that are only about missing measurements."""

    quiet = (None, None)
    is_true = False

    def test(self, time_ms: int, value: "Any") -> "bool | None":
        """Judge that a measurement is there."""
        return False

    def restart(self) -> None:
        """Do nothing."""

    def save(self) -> "list[Any]":
        """Return the state: there is none."""
        return []

    def restore(self, state: "list[Any]") -> None:
        """Take over nothing."""


def _size(rule: "Rule", exponent: "int | None") -> "Any":
    if exponent is None:
        return rule.size[0] / 10 ** rule.size[1]
    return scaled(rule.size, exponent, False)


def make_condition(rule: "Rule", exponent: "int | None", mask: int) -> "Any":
    """Return the condition of `rule` for a channel of `exponent`; see Window for `mask`."""
    kind = rule.kind
    if kind == "stuck":
        return Stuck(rule, exponent, mask)
    if kind == "deadband":
        return Deadband(rule, exponent)
    if kind == "missing":
        return Present()
    if kind.startswith("rate"):
        return Rate(rule, exponent, mask)
    return Aggregate(rule, exponent, mask) if rule.aggregate else Level(rule, exponent)
