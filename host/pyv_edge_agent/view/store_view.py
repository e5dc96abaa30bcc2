"""What is taken out of a store: which channels, and what may be known of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyv_edge_core.errors import FieldError
from pyv_edge_core.pattern import Pattern
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_NAMES

from ..egress import Egress, JudgedChannel
from ..errors import UsageError
from ..store.channel import StoredChannel, channels, channels_in, channels_of
from ..store.extract import Row, Wanted
from ..store.query import Queries


def read_patterns(option: str, texts: list[str] | None) -> list[Pattern]:
    """Return the patterns that an option was given. Raises UsageError."""
    try:
        return [Pattern(text) for text in texts or ()]
    except FieldError as error:
        raise UsageError(f"{option}: {error}") from error


class Matcher(Protocol):
    """What fits some names."""

    def matches(self, name: str) -> bool:
        """Return whether it fits a name."""
        ...


@dataclass(frozen=True)
class Exactly:
    """Fits one name, whatever is in it."""

    name: str

    def matches(self, name: str) -> bool:
        """Return whether it is that name."""
        return name == self.name


@dataclass
class Names:
    """Patterns of which one has to fit; none fits everything."""

    sensors: Sequence[Matcher] = field(default_factory=list)
    devices: Sequence[Matcher] = field(default_factory=list)

    def fit(self, sensor: str, *devices: str) -> bool:
        """Return whether a sensor fits, and a device by any of its names."""
        return _fits(self.sensors, sensor) and self.fit_device(*devices)

    def fit_device(self, *devices: str) -> bool:
        """Return whether a device fits by any of its names."""
        return _fits(self.devices, *devices)


def _fits(patterns: Sequence[Matcher], *names: str) -> bool:
    return not patterns or any(one.matches(name) for one in patterns for name in names)


class View:
    """A store as it may be seen: by the policy in force, at this machine or beyond it."""

    def __init__(self, reader: Queries, policy: PrivacyPolicy, *, is_local: bool) -> None:
        """Look at what `reader` has open."""
        self.reader = reader
        self.policy = policy
        self.is_local = is_local
        self.egress = Egress(
            policy, channels_of=lambda name: channels_of(reader, name), is_leaving=not is_local
        )

    def judge(self, channel: StoredChannel) -> JudgedChannel:
        """Return what may be known of a channel."""
        return self.egress.channel(channel)

    def readings(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return what may be known of rows of `extract.readings`; those withheld are missing."""
        return self.egress.readings(rows, channels_in(self.reader, rows))

    def fits(self, names: Names, channel: StoredChannel) -> bool:
        """Return whether names fit those of a channel, as they may be known.

        By the names that are hidden nobody can ask, or the answer would tell whose
        pseudonym is whose.
        """
        known = self.judge(channel)
        aliases = [channel.alias] if known.device == channel.device else []
        return names.fit(known.sensor, known.device, *aliases)

    def channels(self, names: Names) -> tuple[list[StoredChannel], list[StoredChannel]]:
        """Return the channels that fit: those whose readings may be known, and the others."""
        fitting = [one for one in channels(self.reader) if self.fits(names, one)]
        kept = {one.id for one in fitting if self.egress.keeps_readings(self.judge(one))}
        return (
            [one for one in fitting if one.id not in kept],
            [one for one in fitting if one.id in kept],
        )

    def wanted(
        self, known: list[StoredChannel], qualities: list[str] | None, times: tuple[int, int]
    ) -> Wanted:
        """Return what to ask for of channels whose readings may be known.

        Of one whose values are hidden every reading counts as bad.
        """
        numbers = tuple(QUALITY_NAMES.index(one) for one in qualities or QUALITY_NAMES)
        hidden = [one.id for one in known if self.judge(one).is_hidden]
        plain = [one.id for one in known if one.id not in hidden]
        return Wanted(plain, hidden if QUALITY_BAD in numbers else [], numbers, *times)
