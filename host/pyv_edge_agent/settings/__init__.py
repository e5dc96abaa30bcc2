"""Every setting of the agent: its type, its unit, its range, its default, one sentence.

`config` reads files against these tables; CONFIGURATION.md and the schema are made of
them. A value is changed nowhere else.
"""

from .device import (
    DEVICE,
    DEVICE_DOCS,
    DEVICES,
    FILE,
    HTTP_LISTENER,
    LISTENING,
    MAPPING,
    POLLED,
    SYSTEM_UNITS,
    THIRD_PARTY,
)
from .section import SECTION_DOCS, SECTIONS
from .setting import MISSING, Setting
from .sink import SINK_DOCS, SINKS

__all__ = [
    "DEVICE",
    "DEVICES",
    "DEVICE_DOCS",
    "FILE",
    "HTTP_LISTENER",
    "LISTENING",
    "MAPPING",
    "MISSING",
    "POLLED",
    "SECTIONS",
    "SECTION_DOCS",
    "SINKS",
    "SINK_DOCS",
    "SYSTEM_UNITS",
    "THIRD_PARTY",
    "Setting",
]
