"""Sensors, one file each. A sensor is a class with

channels    list of `Channel`, one per value of a measurement
values      array of integers, one per channel, filled by `measure`
measure(uptime_s, uptime_ms)
            take one measurement into `values`; raise OSError if there is none

and a constructor that takes its `Section` of the settings and reads every key
it knows (the sampler has taken `type` and `interval_ms`).
"""

from pyv_edge_core._compat import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from ..settings import Section

TYPES = ("procfs", "simulated")


def open_sensor(kind: str, section: "Section") -> "Any":
    """Return a new sensor of a type in TYPES, configured from `section`.

    Raises SettingsError for a type or a setting that doesn't exist.
    """
    if kind == "simulated":
        from .simulated import Simulated

        return Simulated(section)
    if kind == "procfs":
        from .procfs import Procfs

        return Procfs(section)
    raise section.fail("type", "%r is not a sensor; there are %s" % (kind, ", ".join(TYPES)))
