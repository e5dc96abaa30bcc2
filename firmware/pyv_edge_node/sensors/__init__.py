"""Sensors, one file each; SENSORS.md has what they measure, and how to write one.

A sensor is a class named `Sensor` whose constructor takes its `Section` of the
settings and the board, and reads every key it knows; `type`, `interval_ms` and
`prefix` are the sampler's. It has

channels    list of `Channel`, one per value of a measurement
values      array of integers, one per channel, filled by `measure`
measure(uptime_s, uptime_ms)
            take one measurement into `values`; raise OSError if there is none,
            ValueError if it is nonsense

and where it applies

begin()             start what the chip needs time for; raises as `measure` does
conversion_ms       what has to pass from the call of `begin` to that of `measure`
interval_ms_min     the shortest interval at which it can be asked
bad                 array of bytes, one per channel: not 0 if this value is missing
"""

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.errors import FieldError
from pyv_edge_core.reading import check_name

from ..settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..settings import Section

# One text, since a board has no use for twelve of them.
TYPES = (
    "adc bh1750 bme280 dht22 digital_input ds18b20 ina219 mcu_temperature procfs pulse_counter"
    " sht3x simulated"
)


def _import(name: str) -> "Any":
    return __import__(name, None, None, ("Sensor",))


def open_sensor(
    kind: str, section: "Section", board: "Any", load: "Callable[[str], Any]" = _import
) -> "Any":
    """Return a new sensor, configured from `section`: one of TYPES, or a user's own.

    Raises SettingsError for a type or a setting that can't be. `load` imports a module.
    """
    try:
        check_name("type", kind)
        if kind in TYPES.split():
            return load("%s.%s" % (__name__, kind)).Sensor(section, board)
        from .own import open_own

        return open_own("own_sensors." + kind, section, board, load)
    except FieldError as error:  # of the type, or of a channel
        raise SettingsError("%s.%s" % (section.path, error))
    except ImportError as error:
        raise section.fail("type", "%s can't be loaded: %s" % (kind, error))


def wiring_of(board: "Any", section: "Section") -> "Any":
    """Return what the board has of pins and buses. Raises SettingsError if it has none."""
    wiring = getattr(board, "wiring", None)
    if wiring is None:
        name = getattr(board, "name", "none")
        raise section.fail(
            "type", "needs a real board; this one (%s) is played: use simulated" % name
        )
    return wiring
