"""A sensor without hardware: a triangle between two levels, with a little noise."""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.reading import LIMITS, Channel

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section


class Sensor:
    """Rises from `low` to `high` and falls back once every `period_s`."""

    def __init__(self, section: "Section", board: "Any") -> None:
        low, high = LIMITS["value"]
        self._low = section.integer("low", low // 4, high // 4, 1800)
        self._high = section.integer("high", low // 4, high // 4, 3200)
        if self._high < self._low:
            raise section.fail("high", "%d is below low, %d" % (self._high, self._low))
        self._half_ms = section.integer("period_s", 1, 100_000, 60) * 500
        self._noise = section.integer("noise", 0, 10_000, 10)
        self._random = section.integer("seed", 0, 65535, 1)
        self.channels = [
            Channel(
                section.text("channel", "simulated"),
                section.text("unit", "Cel"),
                section.integer("exponent", -9, 9, -2),
            )
        ]
        self.values = array("i", [0])

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Compute the value of this moment. Never fails."""
        period_s = self._half_ms // 500
        phase = uptime_s % period_s * 1000 + uptime_ms
        if phase > self._half_ms:
            phase = 2 * self._half_ms - phase
        # 75 x + 74 modulo 65537 (the ZX81's generator): no product leaves the small integers.
        self._random = (75 * self._random + 74) % 65537
        noise = self._random % (2 * self._noise + 1) - self._noise
        self.values[0] = (
            self._low + (self._high - self._low) * (phase >> 4) // (self._half_ms >> 4) + noise
        )
