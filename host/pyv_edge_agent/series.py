"""Channels as the hot path needs them: what policy and rules make of each, known beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pyv_edge_core.alert import HOST_MASK, Watch
from pyv_edge_core.channel_table import FLAG_AGGREGATE_ONLY, FLAG_LOCAL_ONLY, AlertRow
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.privacy_rule import Gate
from pyv_edge_core.reading import Channel
from pyv_edge_core.rule import SEVERITIES, Rule

from .policy import MARK_LOCAL, hash_mark
from .store import ChannelInfo, in_unit

AGENT_CHANNEL = "value"  # of a device that has one channel and no boots


@dataclass
class Plan:
    """What becomes of a channel, before the store has given it an id."""

    info: ChannelInfo
    alias: str  # of its device
    sensor: str  # what rules know it by
    exponent: int | None  # None: values are floats
    gate: Gate
    is_local: bool  # it must not leave this machine
    is_aggregated: bool  # only summaries of it are stored
    is_guarded: bool  # whether its values don't simply pass
    names: dict[str, str]  # device and channel as the policy judged them; {} if it hid them


@dataclass
class Series:
    """One channel of a source."""

    channel_id: int
    plan: Plan
    watch: Watch | None  # None: no rule is about it
    is_quiet: bool = False  # as its watch was, when somebody last looked
    saved: list[Any] = field(default_factory=list)  # of its alerts, what is in the store
    saved_ms: int = 0  # since when, in the time of rules
    # For the hot path: what of the plan it asks for each reading.
    divisor: int = 0  # what a stored value is divided by; 0: see `number`
    is_guarded: bool = False

    def __post_init__(self) -> None:
        self.is_guarded = self.plan.is_guarded
        exponent = self.plan.exponent
        if exponent is not None and exponent < 0:
            self.divisor = 10**-exponent

    def number(self, value: float) -> float:
        """Return a stored value in the channel's unit."""
        return in_unit(value, self.plan.exponent or 0)


@dataclass
class BoardAlert:
    """A rule that a board evaluates itself, on one of its channels."""

    series: Series
    rule: str
    severity: str
    template: str


@dataclass
class Source:
    """One boot of a device, or of the agent for what it polls: where numbers come from."""

    alias: str
    boot: int
    boot_id: int
    series: list[Series]
    next_seq: list[int]  # per stream: next number to take, ahead of what is committed
    newest_ms: int | None = None  # monotonic: of the newest of the board's readings
    alerts: dict[int, BoardAlert] = field(default_factory=dict)  # by place in the table
    # place of each channel, of a device whose adapter names them: by (name, unit)
    places: dict[tuple[str, str], int] = field(default_factory=dict)


def polled_names(name: str) -> tuple[str, str]:
    """Return the device and the channel that the policy sees in what the agent polls.

    Its name is all there is, as in PrivacyPolicy.evaluate.
    """
    device, dot, channel = name.partition(".")
    return device, channel if dot else device


def make_plan(policy: PrivacyPolicy, alias: str, row: Channel, is_float: bool = False) -> Plan:
    """Return what `policy` makes of a channel of the device that is called `alias`.

    What the board says must stay local does, also if the policy here would let
    it go: of the two the stricter holds.
    """
    exponent = None if is_float else row.exponent
    if is_float and row.name == AGENT_CHANNEL:
        sensor = alias
        device, channel = polled_names(alias)
    else:
        sensor = f"{alias}.{row.name}"
        device, channel = alias, row.name
    rule = policy.decide(device, channel, sensor)
    gate = policy.gate(device, channel, sensor, exponent)
    is_aggregated = gate.action == "aggregate_only" or bool(row.flags & FLAG_AGGREGATE_ONLY)
    is_local = gate.is_local or bool(row.flags & (FLAG_AGGREGATE_ONLY | FLAG_LOCAL_ONLY))
    name, shown = row.name, sensor
    names = {"device": device, "channel": channel}
    marks = []
    if gate.action == "hash":
        names = {}
        name = shown = policy.pseudonym(sensor)
        assert rule is not None  # the default doesn't hash
        marks.append(hash_mark(policy, rule))
    if is_local:
        marks.append(MARK_LOCAL)
    info = ChannelInfo(name, shown, row.unit, row.exponent, " ".join(marks))
    is_guarded = is_aggregated or not gate.is_plain
    return Plan(info, alias, sensor, exponent, gate, is_local, is_aggregated, is_guarded, names)


def open_series(plan: Plan, channel_id: int, rules: Sequence[Rule], now_ms: int) -> Series:
    """Return a channel ready for readings, watched from `now_ms` on, in the time of rules."""
    watch = None
    if plan.gate.has_values:
        fitting = [rule for rule in rules if rule.sensor.matches(plan.sensor)]
        watch = Watch(fitting, plan.exponent, HOST_MASK, now_ms) if fitting else None
    return Series(channel_id, plan, watch)


def split_table(
    rows: Sequence[Channel | AlertRow],
) -> tuple[list[Channel], dict[int, AlertRow]]:
    """Return a board's channels, and its alerts by place; alerts stand behind all channels."""
    channels: list[Channel] = []
    alerts: dict[int, AlertRow] = {}
    for index, row in enumerate(rows):
        if isinstance(row, AlertRow):
            alerts[index] = row
        elif not alerts:
            channels.append(row)
    return channels, alerts


def board_alert(row: AlertRow, series: Sequence[Series]) -> BoardAlert | None:
    """Return what a row of a board's table stands for, None if it names no channel."""
    if row.channel >= len(series):
        return None
    severity = SEVERITIES[row.severity]
    return BoardAlert(series[row.channel], row.rule, severity, row.message)
