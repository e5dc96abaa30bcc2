"""A user's own sensor, taken into the node: what is wrong with it is said, and harms nobody else.

Whatever its file or its constructor raises is one line about the settings, and so is a
sensor without the parts that one has to have. What it measures is checked and copied
each time: other than as many integers of 32 bits as it has channels is a failed measurement,
and so is whatever else it raises. A mistake is said on the console: the first one and
the second, the 4th, the 8th and so on, since nobody may be listening the first time.
Only boards that have such a sensor load this.
"""

from array import array

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.errors import FieldError
from pyv_edge_core.reading import LIMITS, Channel, check

from ..settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..settings import Section

# No mistakes: no measurement, nonsense, and too small a board.
_FAILURES = (OSError, ValueError, MemoryError)
_TEXT_LENGTH_MAX = const(120)


def open_own(
    name: str, section: "Section", board: "Any", load: "Callable[[str], Any]"
) -> "OwnSensor":
    """Return the sensor of the module `name`. Raises SettingsError or FieldError."""
    try:
        make = getattr(load(name), "Sensor", None)
        if make is None:
            raise section.fail("type", "%s has no class Sensor" % name)
        return OwnSensor(make(section, board), board, "%s: %s" % (section.path, name))
    except (SettingsError, FieldError, MemoryError):
        raise
    except Exception as error:  # top of a thread: a sensor may be anybody's code
        text = _line(error)
        missing = (text + "''").split("'")[1]  # of an ImportError: a module
        if isinstance(error, ImportError) and (name + ".").startswith(missing + "."):
            from . import TYPES

            problem = "is not a sensor, there is no such file; built in are %s" % TYPES
        else:
            problem = "can't be used: " + text
    raise section.fail("type", "%s %s" % (name, problem))


class OwnSensor:
    """The sensor that the sampler sees in place of the user's."""

    def __init__(self, sensor: "Any", board: "Any", name: str) -> None:
        """Check what it has; mistakes are said on `board`, of `name`. Raises whatever is wrong."""
        self._sensor = sensor
        self._board = board
        self._name = name
        self._mistakes_total = 0
        self.channels = list(sensor.channels)
        count = len(self.channels)
        if not count or not all([isinstance(channel, Channel) for channel in self.channels]):
            raise TypeError("channels must be a list of Channel, at least one")
        for part, found in (
            ("values", sensor.values),
            ("bad", getattr(sensor, "bad", sensor.values)),
        ):
            if len(found) != count:
                raise ValueError("%s has %d for %d channels" % (part, len(found), count))
        self.values = array("i", [0] * count)
        self.bad = bytearray(count)
        self._measure = sensor.measure
        self.conversion_ms = _duration(sensor, "conversion_ms")
        self.interval_ms_min = _duration(sensor, "interval_ms_min")
        if hasattr(sensor, "begin") != bool(self.conversion_ms):
            raise ValueError("begin() and conversion_ms go together")
        self._begin: Any = getattr(sensor, "begin", None)

    def begin(self) -> None:
        """Have the chip convert. Raises as `measure` does."""
        try:
            self._begin()
        except Exception as error:  # top of a thread: a sensor may be anybody's code
            raise self._failure(error)

    def measure(self, uptime_s: int, uptime_ms: int) -> None:
        """Have it measure. Raises OSError or ValueError if that fails, also by a mistake."""
        try:
            self._measure(uptime_s, uptime_ms)
            self._take()
        except Exception as error:  # top of a thread: a sensor may be anybody's code
            raise self._failure(error)

    def _failure(self, error: Exception) -> Exception:
        """Return what the sampler takes for a failed measurement; say what is a mistake."""
        if isinstance(error, _FAILURES) and not isinstance(error, FieldError):
            return error
        self._mistakes_total += 1
        total = self._mistakes_total
        if not total & (total - 1):
            self._board.say("%s: mistake %d: %s" % (self._name, total, _line(error)))
            self._board.show(error)
        return ValueError()

    def _take(self) -> None:
        """Copy the values. Raises FieldError if one can't be."""
        values = self._sensor.values
        missing = getattr(self._sensor, "bad", None)
        bad = self.bad
        count = len(bad)
        if len(values) != count or (missing is not None and len(missing) != count):
            raise FieldError("values: not one for each channel")
        for index in range(count):
            bad[index] = missing is not None and bool(missing[index])
            if not bad[index]:
                self.values[index] = check("value", values[index])


def _line(error: Exception) -> str:
    """Return an error as one line."""
    text = " ".join(str(error).split())
    return "%s: %s" % (type(error).__name__, text[:_TEXT_LENGTH_MAX])


def _duration(sensor: "Any", name: str) -> int:
    value = getattr(sensor, name, 0)
    if isinstance(value, int) and 0 <= value <= LIMITS["interval_ms"][1]:
        return value
    raise ValueError("%s is %r, and must be whole milliseconds" % (name, value))
