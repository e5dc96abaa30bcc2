"""Topics: which ones a device takes, and the channel that each stands for.

    topic filter    site/+/sensors/#             channel = "{1}-{#}"
    topic           site/north/sensors/hall/t    channel   "north-hall.t"

`{1}` is what the first + stands for, `{#}` the rest, with dots between its levels.
Without a pattern the channel is all of these with dots between; "" if there is none.
Where there may be several, a dot inside one is written %2E, and a percent sign %25, so that
site/a.b/c and site/a/b/c are two channels.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

TOPIC_SIZE_MAX = 65_535  # bytes of UTF-8
_PLACE = re.compile(r"\{([1-9][0-9]*|#)\}")
_NUMBER_HAS_NO = ("items_path", "channel_path", "unit_path", "quality_path", "fields")


class Levels(NamedTuple):
    """What the wildcards of a filter stand for in one topic."""

    singles: list[str]  # each +
    rest: list[str]  # levels of the #


class TopicFilter:
    """A filter of a subscription."""

    def __init__(self, text: str) -> None:
        """Read a filter. Raises ValueError saying what is wrong with it."""
        if not text:
            raise ValueError("must not be empty; # takes all topics")
        if len(text.encode()) > TOPIC_SIZE_MAX:
            raise ValueError(f"is longer than {TOPIC_SIZE_MAX} bytes")
        self.text = text
        self._levels = text.split("/")
        if self._levels[0] == "$share":
            raise ValueError(
                "is shared: others would get a part of the readings; leave $share out"
            )
        for index, level in enumerate(self._levels):
            if len(level) > 1 and ("+" in level or "#" in level):
                raise ValueError(f"{level!r}: + and # stand alone between two slashes")
            if level == "#" and index < len(self._levels) - 1:
                raise ValueError("# must be the last level")
        self.has_rest = self._levels[-1] == "#"
        self.single_count = self._levels.count("+")

    def levels(self, topic: str) -> Levels | None:
        """Return what the wildcards stand for in `topic`, None if the filter does not fit."""
        wanted, found = self._levels, topic.split("/")
        if topic.startswith("$") and wanted[0] in ("+", "#"):
            return None
        rest: list[str] = []
        if self.has_rest:
            wanted = wanted[:-1]
            found, rest = found[: len(wanted)], found[len(wanted) :]
        if len(found) != len(wanted):
            return None
        if any(want not in ("+", level) for want, level in zip(wanted, found, strict=True)):
            return None
        singles = [level for want, level in zip(wanted, found, strict=True) if want == "+"]
        return Levels(singles, rest)


class ChannelPattern:
    """How the channel's name is made of a topic's levels."""

    def __init__(self, text: str, topics: TopicFilter) -> None:
        """Read a pattern; "" is the usual one. Raises ValueError saying what is wrong with it."""
        self._text = text
        self._is_joined = topics.has_rest or topics.single_count > 1
        for place in _PLACE.findall(text):
            if place == "#" and not topics.has_rest:
                raise ValueError("{#} needs a topic that ends with #")
            if place != "#" and int(place) > topics.single_count:
                raise ValueError(f"{{{place}}}: the topic has {topics.single_count} +")
        if any(brace in _PLACE.sub("", text) for brace in "{}"):
            raise ValueError("braces hold the number of a +, as in {1}, or {#}")

    def name(self, levels: Levels) -> str:
        """Return the channel of a topic with these levels."""
        if not self._text:
            return self._join([*levels.singles, *levels.rest])
        values = {"#": self._join(levels.rest)}
        values |= {str(number): one for number, one in enumerate(levels.singles, 1)}
        return _PLACE.sub(lambda found: values[found[1]], self._text)

    def _join(self, levels: list[str]) -> str:
        if self._is_joined:
            levels = [one.replace("%", "%25").replace(".", "%2E") for one in levels]
        return ".".join(levels)


def client_id_of(device: Mapping[str, Any]) -> str:
    """Return the name of a device's session at its broker."""
    return str(device["client_id"]) or f"pyv-edge-{device['name']}"


def check_subscription(device: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (key, fault) of what is wrong between the settings of an MQTT device's table."""
    faults = []
    if "topic" in device:
        try:
            topics = TopicFilter(device["topic"])
        except ValueError as error:
            faults.append(("topic", str(error)))
        else:
            try:
                ChannelPattern(device["channel"], topics)
            except ValueError as error:
                faults.append(("channel", str(error)))
    if device["payload"] == "number":
        said = [key for key in _NUMBER_HAS_NO if device[key]]
        faults += [(key, 'has no meaning with payload = "number"') for key in said]
    if not device["host"]:
        faults.append(("host", "must not be empty"))
    return faults
