"""The condition of a rule about an aggregate of a window. See `condition` for its methods."""

from ._compat import TYPE_CHECKING
from .condition import Level
from .window import Window

if TYPE_CHECKING:
    from typing import Any

    from .rule import Rule


class Aggregate:
    """An aggregate of a window, in place of single readings."""

    quiet = None
    is_moment = False

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
