"""From a measurement to the rings: privacy first, then rules, then memory.

What the policy drops is counted and goes no further: it never reaches a ring,
and so never the wire. Rules see what the policy leaves. An alert that fires or
resolves is a record of the events ring, which is sent first and lost last.
Allocates nothing per reading.
"""

from pyv_edge_core._compat import TYPE_CHECKING, const
from pyv_edge_core.channel_table import (
    COUNT_MAX,
    EVENT_FIRED,
    EVENT_WITHOUT_VALUE,
    FLAG_AGGREGATE_ONLY,
    FLAG_LOCAL_ONLY,
    AlertRow,
)
from pyv_edge_core.reading import QUALITY_BAD, Channel
from pyv_edge_core.session import elapsed_ms

from .settings import SettingsError

if TYPE_CHECKING:
    from pyv_edge_core.alert import Watch
    from pyv_edge_core.privacy_rule import Gate
    from pyv_edge_core.record_ring import RecordRing
    from pyv_edge_core.rule import Rule

    from .settings import Settings
    from .uptime import Uptime

_TICK_MS = const(1000)
_FIRED = const(1)  # alert.FIRED; a board without rules doesn't load that module


class Pipeline:
    """Policy and rules of one board."""

    def __init__(
        self,
        config: "Settings",
        device: str,
        channels: "list[Channel]",
        telemetry: "RecordRing",
        events: "RecordRing",
        now_ms: int,
    ) -> None:
        """Apply the settings' policy and rules to `channels`. Raises SettingsError."""
        self.denied_total = 0  # readings that the policy dropped
        self.events_total = 0
        self.rows: list[Channel | AlertRow] = []  # the channel table, see channel_table
        self._telemetry = telemetry
        self._events = events
        self._gates: list[Gate | None] = []  # None: values pass as they are
        self._watches: list[Watch | None] = []  # None: no rule is about that channel
        self._first_rows: list[int] = []  # where a channel's alerts begin in the table
        self._tick_ms = now_ms
        for channel in channels:
            gate = _gate(config, device, channel)
            self._gates.append(None if gate is None or gate.is_plain else gate)
            self.rows.append(channel if gate is None else _row(config, device, channel, gate))
        if config.rules:
            self._set_rules(config, device, channels, now_ms)
        else:
            self._watches = [None for _ in channels]

    def _set_rules(
        self, config: "Settings", device: str, channels: "list[Channel]", now_ms: int
    ) -> None:
        from pyv_edge_core.alert import BOARD_MASK, Watch
        from pyv_edge_core.rule import SEVERITIES

        fitting: list[list[Rule]] = []
        for index in range(len(channels)):
            gate = self._gates[index]
            is_known = gate is None or gate.has_values
            sensor = _sensor(device, channels[index])
            fitting.append(
                [rule for rule in config.rules if is_known and rule.sensor.matches(sensor)]
            )
        count = len(channels) + sum([len(rules) for rules in fitting])
        if count > COUNT_MAX:
            raise SettingsError(
                "%s.rules: %d channels and rules on them, at most %d; narrow the rules' sensor"
                % (config.path, count, COUNT_MAX)
            )
        for index in range(len(channels)):
            rules = fitting[index]
            watch = Watch(rules, channels[index].exponent, BOARD_MASK, now_ms) if rules else None
            self._watches.append(watch)
            self._first_rows.append(len(self.rows))
            for rule in rules:
                severity = SEVERITIES.index(rule.severity)
                self.rows.append(AlertRow(rule.name, index, severity, rule.message))

    def push(
        self, channel: int, quality: int, value: int, uptime_s: int, uptime_ms: int, now_ms: int
    ) -> None:
        """Take one reading of `channel`; its fields lie within `reading.LIMITS`."""
        gate = self._gates[channel]
        if gate is not None:
            if not gate.is_open:
                self.denied_total += 1
                return
            if gate.is_hidden:
                quality = QUALITY_BAD
            # What a bad reading has for a value is nothing that a policy could judge.
            value = 0 if quality == QUALITY_BAD else gate.value(value)
        self._telemetry.push(channel, quality, value, uptime_s, uptime_ms)
        watch = self._watches[channel]
        if watch is not None and watch.update(now_ms, now_ms, value, quality):
            flags = EVENT_WITHOUT_VALUE if quality == QUALITY_BAD else 0
            self._report(channel, watch, flags, value, uptime_s, uptime_ms)

    def tick(self, now_ms: int, uptime: "Uptime") -> None:
        """Let the rules see that time passes. Call it every pass; it acts once a second."""
        if elapsed_ms(now_ms, self._tick_ms) < _TICK_MS:
            return
        self._tick_ms = now_ms
        for channel in range(len(self._watches)):
            watch = self._watches[channel]
            if watch is not None and watch.tick(now_ms):
                self._report(channel, watch, EVENT_WITHOUT_VALUE, 0, uptime.s, uptime.ms)

    def _report(
        self, channel: int, watch: "Watch", flags: int, value: int, uptime_s: int, uptime_ms: int
    ) -> None:
        row = self._first_rows[channel]
        for alert in watch.alerts:
            if alert.change:
                flag = EVENT_FIRED if alert.change == _FIRED else 0
                self._events.push(row, flags | flag, value, uptime_s, uptime_ms)
                self.events_total += 1
            row += 1


def _sensor(device: str, channel: Channel) -> str:
    return "%s.%s" % (device, channel.name)


def _gate(config: "Settings", device: str, channel: Channel) -> "Gate | None":
    """Return what the policy makes of a channel, None without a policy."""
    if config.policy is None:
        return None
    sensor = _sensor(device, channel)
    return config.policy.gate(device, channel.name, sensor, channel.exponent)


def _row(config: "Settings", device: str, channel: Channel, gate: "Gate") -> Channel:
    """Return the row that tells the host of a channel what it may know."""
    name = channel.name
    if gate.action == "hash" and config.policy is not None:
        name = config.policy.pseudonym(_sensor(device, channel))
    flags = 0
    if gate.action == "aggregate_only":
        flags = FLAG_AGGREGATE_ONLY
    elif gate.is_local:
        flags = FLAG_LOCAL_ONLY
    return Channel(name, channel.unit, channel.exponent, flags)
