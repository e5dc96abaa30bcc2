"""Whether a rule's condition holds for a channel: one class per kind, all with

test(time_ms, value)   True, False, or None while too little is known; readings in order
save(), restore(list)  what must survive a restart, as numbers; windows fill anew
restart()              forget all times: the clock has been set
window                 the Window that a late reading may correct, or None
is_moment              whether it is true for a moment only and never over
quiet                  (low, high) between which a value that finds `is_true` false leaves
                       it false and changes nothing; None if there is no such range

Everything is compared in integers without rounding: a level that the channel
can't show is multiplied up, a mean is compared as its sum with level * count.
"""

from ._compat import TYPE_CHECKING
from .quantity import ratio, real

if TYPE_CHECKING:
    from typing import Any

    from .rule import Rule


class Level:
    """Two levels with hysteresis: true outside low..high, false again inside the clear levels."""

    window = None
    is_moment = False

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
                bounds.append(real(level))
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


class Present:
    """True never: for rules that are only about missing measurements."""

    window = None
    is_moment = False
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


def make_condition(rule: "Rule", exponent: "int | None", mask: int) -> "Any":
    """Return the condition of `rule` for a channel of `exponent`; see Window for `mask`.

    Levels are what most rules are about; only a board that has others loads them.
    """
    kind = rule.kind
    if kind == "missing":
        return Present()
    if rule.aggregate:
        from .aggregate import Aggregate

        return Aggregate(rule, exponent, mask)
    if kind in ("above", "below", "outside"):
        return Level(rule, exponent)
    from . import movement

    if kind == "stuck":
        return movement.Stuck(rule, exponent, mask)
    if kind == "deadband":
        return movement.Deadband(rule, exponent)
    return movement.Rate(rule, exponent, mask)
