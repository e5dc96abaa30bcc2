"""The rules in force, what they say of each channel, and the events that come of it.

An alert belongs to a channel and outlives boots of its board and restarts of the
agent: its state is stored with the readings that changed it, in one transaction.

The times here are those of rules: monotonic, from when the computer's clock began
(see TimeBase.rule_ms). Events are dated in UTC when they are made.
"""

import json
import logging
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

from pyv_edge_core.alert import FIRED, FIRING, STATES, Watch
from pyv_edge_core.channel_table import EVENT_FIRED, EVENT_WITHOUT_VALUE
from pyv_edge_core.event_text import render
from pyv_edge_core.reading import QUALITY_BAD
from pyv_edge_core.rule import Rule, read_rules

from .alert_state import restore
from .event_item import EventFacts, event_item
from .outbox import Priority
from .series import BoardAlert, Plan, Series, open_series
from .store import WriteBatch

logger = logging.getLogger(__name__)

# The rule in force while there are no others.
DEFAULT_RULE = {"name": "value above 30", "above": 30.0}
TICK_MS = 1000
SAVE_MS = 60_000
OVER = "{sensor} is {value} {unit}"
REMEMBERING = ("stuck", "deadband")  # conditions whose state has values in it


class Alerting:
    """Watches channels by one set of rules."""

    def __init__(
        self,
        rules: Sequence[Rule],
        saved_state: Callable[[int], tuple[str, int] | None] | None = None,
    ) -> None:
        """Use `rules`, or the default one; `saved_state` is that of a store."""
        self.rules = tuple(rules) or read_rules([DEFAULT_RULE])
        self.events_total = 0  # readings that found an alert firing
        self.fired_total = 0
        self.board_events_total = 0
        self._saved_state = saved_state
        self._watched: dict[int, tuple[int, Series]] = {}  # (boot_id, series) by channel_id
        self._tick_ms: int | None = None

    def open(
        self, plan: Plan, channel_id: int, boot_id: int, now_ms: int, out: WriteBatch
    ) -> Series:
        """Return a channel's series, whose alerts go on where they stood.

        Raises StoreError if what was saved can't be read.
        """
        series = open_series(plan, channel_id, self.rules, now_ms)
        if series.watch is None:
            return series
        before = self._watched.get(channel_id)
        if before is not None and before[1].watch is not None:
            series.watch = before[1].watch  # one channel, one watch, whatever boots
        elif self._saved_state is not None:
            saved = self._saved_state(channel_id)
            if saved is None:
                self._save(series, out)  # so that a restart knows that it is watched
            elif not restore(series.watch, *saved):
                logger.warning(
                    "alerts of %s begin anew: what was saved of them can't be read",
                    plan.info.sensor_name,
                )
                series = open_series(plan, channel_id, self.rules, now_ms)
        if series.watch is not None:
            series.saved = [alert.save() for alert in series.watch.alerts]
        self._watched[channel_id] = (boot_id, series)
        return series

    def successor(self, rules: Sequence[Rule]) -> "Alerting":
        """Return what goes on with other rules; what this one knows must be stored."""
        made = Alerting(rules, self._saved_state)
        made.events_total, made.fired_total = self.events_total, self.fired_total
        made.board_events_total = self.board_events_total
        return made

    def start_over(self) -> None:
        """Forget what the store was not told: channels that are opened again go on from there."""
        self._watched.clear()

    def forget(self, alias: str, known: Container[int], out: WriteBatch) -> None:
        """Watch no channel of a device but the `known` ones: it has no others any more."""
        for channel_id, (_, series) in list(self._watched.items()):
            if series.plan.alias == alias and channel_id not in known:
                del self._watched[channel_id]
                out.rule_states[channel_id] = None

    def update(
        self,
        boot_id: int,
        series: Series,
        now_ms: int,
        time_ms: int,
        value: float,
        quality: int,
        out: WriteBatch,
    ) -> None:
        """Let the alerts of a channel see a reading; add what comes of it to `out`."""
        watch = series.watch
        assert watch is not None
        changes = watch.update(now_ms, time_ms, value, quality)
        if not changes and watch.is_quiet and series.is_quiet:
            return
        series.is_quiet = watch.is_quiet
        if quality != QUALITY_BAD:
            self.events_total += sum(1 for alert in watch.alerts if alert.state == FIRING)
        if changes:
            known = None if quality == QUALITY_BAD or series.plan.is_aggregated else value
            self._report(boot_id, series, time_ms, known, out)
        self._save_changed(series, time_ms, out)

    def tick(self, now_ms: int, out: WriteBatch) -> None:
        """Let time pass for all channels: some rules are about what does not come."""
        if self._tick_ms is not None and now_ms - self._tick_ms < TICK_MS:
            return
        self._tick_ms = now_ms
        for boot_id, series in self._watched.values():
            assert series.watch is not None
            if series.watch.tick(now_ms):
                self._report(boot_id, series, now_ms, None, out)
            series.is_quiet = series.watch.is_quiet
            self._save_changed(series, now_ms, out)

    def save(self, out: WriteBatch) -> None:
        """Add the state of every alert to `out`, for the end of a run."""
        for _, series in self._watched.values():
            self._save(series, out)

    def counts(self) -> dict[str, int]:
        """Return how many alerts there are in each state."""
        states = [alert.state for watch in self._watches() for alert in watch.alerts]
        return {name: states.count(index) for index, name in enumerate(STATES)}

    def counts_by_rule(self) -> dict[tuple[str, str], int]:
        """Return the same of each rule, by its name and the state."""
        found = {(rule.name, state): 0 for rule in self.rules for state in STATES}
        for watch in self._watches():
            for alert in watch.alerts:
                found[alert.rule.name, STATES[alert.state]] += 1
        return found

    @property
    def suppressed_total(self) -> int:
        """Readings that would have fired but for a cooldown, or for their age."""
        return sum(alert.suppressed_total for watch in self._watches() for alert in watch.alerts)

    @property
    def late_total(self) -> int:
        """Readings older than one that had come before them: they change no alert."""
        return sum(watch.late_total for watch in self._watches())

    def _watches(self) -> list[Watch]:
        series = [one for _, one in list(self._watched.values())]
        return [one.watch for one in series if one.watch is not None]

    def _save_changed(self, series: Series, time_ms: int, out: WriteBatch) -> None:
        """Save the alerts of a channel if that can change what they will do after a restart.

        What a `stuck` rule has seen changes with any reading: once a minute is enough. But not
        for the first value that a condition compares others with.
        """
        assert series.watch is not None
        alerts = [alert.save() for alert in series.watch.alerts]
        if alerts == series.saved:
            return
        is_due = [_decisive(alert) for alert in alerts] != [_decisive(one) for one in series.saved]
        if is_due or abs(time_ms - series.saved_ms) >= SAVE_MS:
            series.saved, series.saved_ms = alerts, time_ms
            self._save(series, out)

    @staticmethod
    def _save(series: Series, out: WriteBatch) -> None:
        assert series.watch is not None
        newest_ms, is_known, alerts = series.watch.save()
        if series.plan.is_aggregated:
            # A value that such a condition remembers must not be stored: it begins anew.
            for alert, (_, _, state) in zip(series.watch.alerts, alerts, strict=True):
                if alert.rule.kind in REMEMBERING:
                    state[-1] = [0] * len(state[-1])
        out.rule_states[series.channel_id] = json.dumps([newest_ms, is_known, alerts])

    def _report(
        self, boot_id: int, series: Series, time_ms: int, value: float | None, out: WriteBatch
    ) -> None:
        assert series.watch is not None
        utc_ms = time_ms + out.segment.rule_shift_ms
        for alert in series.watch.alerts:
            if alert.change:
                rule = alert.rule
                is_fired = alert.change == FIRED
                self.fired_total += is_fired
                event = _Event(
                    *(rule.name, rule.severity, rule.message, is_fired, utc_ms, value),
                    out.segment.time_quality,
                )
                _add(event, boot_id, series, None, out)

    def add_board_event(
        self,
        boot_id: int,
        alert: BoardAlert,
        seq: int,
        flags: int,
        utc_ms: int,
        value: float,
        time_quality: int,
        out: WriteBatch,
    ) -> None:
        """Add an event that a board's own rule has made, number `seq` of its stream."""
        series, plan = alert.series, alert.series.plan
        known: float | None = value
        if flags & EVENT_WITHOUT_VALUE or plan.gate.is_hidden or plan.is_aggregated:
            known = None
        elif not plan.gate.is_plain:
            known = plan.gate.value(value)
        is_fired = bool(flags & EVENT_FIRED)
        self.board_events_total += 1
        self.events_total += is_fired
        event = _Event(
            *(alert.rule, alert.severity, alert.template, is_fired, utc_ms, known, time_quality)
        )
        _add(event, boot_id, series, seq, out)


def _decisive(saved: list[Any]) -> list[Any]:
    """Return of an alert's state all but the values that its condition has seen.

    The first of a condition's numbers is whether it has seen any, or whether it is true.
    """
    return [*saved[:-1], saved[-1][:1]]


@dataclass(frozen=True)
class _Event:
    """An alert that fired or resolved."""

    rule: str
    severity: str
    template: str
    is_fired: bool
    utc_ms: int
    value: float | None  # as stored; None: there is none, or it must not be known
    time_quality: int


def _add(event: _Event, boot_id: int, series: Series, seq: int | None, out: WriteBatch) -> None:
    """Add an event's row to `out`, and the item for the sinks if they may know of it."""
    plan = series.plan
    info, names = plan.info, plan.names
    state = "firing" if event.is_fired else "resolved"
    number = None if event.value is None else series.number(event.value)
    shown = "unknown" if number is None else f"{number:.10g}"
    # What a rule's own message says is no longer true when it is over.
    template = event.template if event.is_fired else f"{event.rule} is over: {OVER}"
    message = render(template, info.sensor_name, shown, info.unit)
    out.events.append(
        (
            series.channel_id,
            boot_id,
            seq,
            event.rule,
            event.severity,
            state,
            event.utc_ms,
            number,
            message,
            event.time_quality,
        )
    )
    if plan.is_local:
        return
    facts = EventFacts(
        event.rule,
        event.severity,
        state,
        event.utc_ms,
        event.time_quality,
        message,
        number,
        info.sensor_name,
        info.unit,
        names,
        info.privacy if plan.gate.action == "hash" else "",
    )
    urgency = Priority.CRITICAL if event.severity == "critical" else Priority.ANOMALY
    payload = json.dumps(event_item(facts))
    out.items.append((payload, int(urgency), event.utc_ms / 1000, 0))
