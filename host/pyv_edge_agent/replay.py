"""Replay: what rules would have made of stored readings. Decides with the agent's own Alerting.

What is stored has passed the privacy policy of its time, and passes today's again. Time is
that of the readings: it goes on with the newest of them, ticks once a second, and what
comes behind it is late, as it was for the agent. Nothing was watched before the beginning, so
an alert that was firing then fires at the first reading.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import Channel
from pyv_edge_core.rule import Rule

from .alerting import TICK_MS, Alerting
from .egress import JudgedChannel
from .series import AGENT_CHANNEL, Plan, Series, make_plan
from .store import QUALITY_MASK, TimeSegment, WriteBatch
from .store.channel import StoredChannel

# (id, channel_id, rule, severity, state, utc_ms, value, message, time_quality), as stored
EventRow = tuple[Any, ...]


@dataclass
class Firings:
    """What became of one rule."""

    fired: int = 0
    resolved: int = 0
    firing_ms: int = 0  # over all channels
    before: int = 0  # how often it did fire, as the store has it


class Replay:
    """One set of rules over one stretch of readings, in the order in which they were stored."""

    def __init__(self, rules: Sequence[Rule], policy: PrivacyPolicy, start_ms: int) -> None:
        """Watch from `start_ms` on, UTC."""
        self.readings_total = 0
        self.unknown_total = 0  # of channels whose names are pseudonyms: no rule fits those
        self._alerting = Alerting(rules)
        self.firings = {rule.name: Firings() for rule in self._alerting.rules}
        self._policy = policy
        self._now_ms = start_ms
        self._tick_ms = start_ms
        self._series: dict[int, Series | None] = {}
        self._since: dict[tuple[int, str], int] = {}  # channel and rule: firing since
        self._events_total = 0
        self._out = WriteBatch(TimeSegment())
        self._moments = {one.name for one in self.rules if one.kind == "deadband"}  # never over

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are tried: the default one if there are no others."""
        return self._alerting.rules

    def add(
        self, channel: StoredChannel, known: JudgedChannel, row: Sequence[Any]
    ) -> Iterator[EventRow]:
        """Let the rules see a row of `extract.readings`; yield what would have happened."""
        _, _, _, _, _, utc_ms, _, marked, value = row[:9]
        yield from self.pass_time(utc_ms)
        self.readings_total += 1
        if channel.id not in self._series:
            self._series[channel.id] = self._open(channel, known, value)
        series = self._series[channel.id]
        if series is None:
            self.unknown_total += 1
            return
        if series.watch is None:
            return
        gate = series.plan.gate
        quality = marked & QUALITY_MASK
        judged = value if gate.is_plain else gate.value(value)
        self._alerting.update(0, series, self._now_ms, utc_ms, judged, quality, self._out)
        yield from self._told()

    def pass_time(self, utc_ms: int) -> Iterator[EventRow]:
        """Let time go on to `utc_ms`, never back; yield what would have happened."""
        while self._tick_ms + TICK_MS <= utc_ms:
            self._tick_ms += TICK_MS
            self._alerting.tick(self._tick_ms, self._out)
            yield from self._told()
        self._now_ms = max(self._now_ms, utc_ms)

    def end(self, utc_ms: int) -> Iterator[EventRow]:
        """Let time go on to the end; what fires by then has fired for so long."""
        yield from self.pass_time(utc_ms)
        for (_, rule), since_ms in self._since.items():
            self.firings[rule].firing_ms += max(0, self._now_ms - since_ms)
        self._since.clear()

    def _open(self, channel: StoredChannel, known: JudgedChannel, value: Any) -> Series | None:
        if known.is_pseudonym:
            return None
        return self._alerting.open(
            self._plan(channel, known, value), channel.id, 0, self._now_ms, self._out
        )

    def _plan(self, channel: StoredChannel, known: JudgedChannel, value: Any) -> Plan:
        """Return what today's policy makes of a channel, as the agent would."""
        is_polled = channel.sensor == channel.device
        row = Channel(AGENT_CHANNEL, "", 0 if is_polled else channel.exponent)
        row.name = AGENT_CHANNEL if is_polled else channel.name
        row.unit = channel.unit
        alias = channel.sensor if is_polled else known.names[0]
        is_float = is_polled or isinstance(value, float)
        return make_plan(self._policy, alias, row, is_float)

    def _told(self) -> Iterator[EventRow]:
        """Yield the events that came of the last step, and forget what else did."""
        if not self._out.events:
            return
        events, self._out = self._out.events, WriteBatch(TimeSegment())
        for channel_id, _, _, rule, severity, state, utc_ms, number, message, quality in events:
            self._events_total += 1
            self._count(channel_id, rule, state, utc_ms)
            yield (
                *(self._events_total, channel_id, rule, severity, state),
                *(utc_ms, number, message, quality),
            )

    def _count(self, channel_id: int, rule: str, state: str, utc_ms: int) -> None:
        firings = self.firings[rule]
        if state == "firing":
            firings.fired += 1
            if rule not in self._moments:
                self._since[channel_id, rule] = utc_ms
            return
        firings.resolved += 1
        since_ms = self._since.pop((channel_id, rule))
        firings.firing_ms += utc_ms - since_ms
