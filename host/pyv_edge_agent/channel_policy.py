"""What [policies] says of each channel: its class, what sinks get of it, how long it is kept.

The first pattern that fits a channel's sensor name decides; what it leaves out, and a
channel that none fits, gets the defaults of the section. It's for readings and for what
is made of them; who may see them at all is the privacy policy's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyv_edge_core.errors import FieldError
from pyv_edge_core.pattern import Pattern

CLASSES = ("event", "telemetry", "bulk")  # by number; the last is evicted first
CLASS_EVENT, CLASS_TELEMETRY, CLASS_BULK = range(len(CLASSES))
SYNC_RAW, SYNC_SUMMARY, SYNC_EVENTS = 1, 2, 4
SYNCS = {"raw": SYNC_RAW, "summary": SYNC_SUMMARY, "events": SYNC_EVENTS}
DROP_OLDEST, REJECT_NEW, DOWNSAMPLE_OLDEST = "drop_oldest", "reject_new", "downsample_oldest"
KEYS = ("match", "class", "sync", "keep_days")
DAY_MS = 86_400_000
KEEP_DAYS_MAX = 36_500


@dataclass(frozen=True)
class ChannelPolicy:
    """What holds for one channel."""

    channel_class: int = CLASS_TELEMETRY
    sync: int = SYNC_RAW | SYNC_EVENTS  # bits
    keep_ms: int = 0  # 0: until there is no room


@dataclass(frozen=True)
class KeepTimes:
    """How long everything else is kept, in milliseconds; 0: until there is no room."""

    summary_ms: int = 0
    event_ms: int = 0


class ChannelPolicies:
    """The policies of a configuration. Immutable."""

    def __init__(self, section: dict[str, Any] | None = None) -> None:
        """Read a checked [policies] section; without one, the defaults."""
        section = section or {}
        self.on_full = (
            section.get("on_full_event", DROP_OLDEST),
            section.get("on_full_telemetry", DROP_OLDEST),
            section.get("on_full_bulk", DROP_OLDEST),
        )  # by class
        self.keep = KeepTimes(
            round(section.get("summary_keep_days", 0) * DAY_MS),
            round(section.get("event_keep_days", 0) * DAY_MS),
        )
        keep_ms = round(section.get("keep_days", 0) * DAY_MS)
        self._default = ChannelPolicy(keep_ms=keep_ms)
        self._rows = [
            (Pattern(row["match"]), _policy(row, self._default))
            for row in section.get("channels", [])
        ]

    def of(self, sensor_name: str) -> ChannelPolicy:
        """Return what holds for a channel."""
        for pattern, policy in self._rows:
            if pattern.matches(sensor_name):
                return policy
        return self._default


def _policy(row: dict[str, Any], default: ChannelPolicy) -> ChannelPolicy:
    kind = CLASSES.index(row["class"]) if "class" in row else default.channel_class
    sync = sum(SYNCS[name] for name in set(row["sync"])) if "sync" in row else default.sync
    keep_ms = round(row["keep_days"] * DAY_MS) if "keep_days" in row else default.keep_ms
    return ChannelPolicy(kind, sync, keep_ms)


def check_channels(rows: list[Any], fault: Callable[[str, str], None]) -> list[dict[str, Any]]:
    """Return the rows of [[policies.channels]] that can be used; `fault` is told of the others."""
    good = []
    for index, row in enumerate(rows):
        place = f"policies.channels[{index}]"
        if not isinstance(row, dict):
            fault(place, "must be a table")
            continue
        problems = list(_problems(row))
        for key, problem in problems:
            fault(f"{place}.{key}", problem)
        if not problems:
            good.append(row)
    return good


def _problems(row: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    if "match" not in row:
        found.append(("match", "is missing; it must be a pattern over sensor names"))
    else:
        try:
            Pattern(row["match"])
        except FieldError as error:
            found.append(("match", str(error)))
    if "class" in row and row["class"] not in CLASSES:
        found.append(("class", f"{row['class']!r} is not one of {', '.join(CLASSES)}"))
    if "sync" in row:
        given = row["sync"]
        if not isinstance(given, list) or not all(name in SYNCS for name in map(str, given)):
            found.append(("sync", f"must be a list of {', '.join(SYNCS)}; [] for nothing"))
    if "keep_days" in row:
        days = row["keep_days"]
        if (
            isinstance(days, bool)
            or not isinstance(days, (int, float))
            or not 0 <= days <= KEEP_DAYS_MAX
        ):
            problem = f"must be a number in 0..{KEEP_DAYS_MAX}; 0: until there is no room"
            found.append(("keep_days", problem))
    return found
