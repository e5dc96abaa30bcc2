"""One rule about readings, as a table says it: TOML on a host, JSON on a board.

    name      what its events are called       sensor  pattern of the sensors it watches
  one condition
    above, below       a level                 outside    two levels
    rate_above, rate_below   change per `per` over `window`
    stuck     a time without a change of more than `within`
    deadband  a change since the last event    missing    a time without a measurement
    clear     level(s) at which above, below, outside and the rates are over
    aggregate mean, min, max, sum, count or range of the last `window`, in place of the value;
              with `step` = `window` of whole stretches of the clock
  states
    for       how long it must hold to fire    keep_for   how long it must be over to resolve
    cooldown  shortest time between two firings          late  oldest reading that may fire
    on_bad, on_missing  hold, resolve or fire; `missing` then says after which time
  event
    severity  info, warning, critical          message    text with {fields}

RULES.md has the truth table. Numbers are exact; durations are seconds or texts ("5m").
"""

from binascii import crc32

from . import event_text, table
from ._compat import TYPE_CHECKING, const
from .errors import FieldError, TableError
from .pattern import Pattern
from .quantity import decimal, duration_ms, is_below, show, show_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Decimal = tuple[int, int]

RULE_COUNT_MAX = 256
_PANE_COUNT_MAX = const(64)  # as in `window`, which few boards load
SEVERITIES = ("info", "warning", "critical")
HOLD, RESOLVE, FIRE = POLICIES = ("hold", "resolve", "fire")
AGGREGATES = ("mean", "min", "max", "sum", "count", "range")
LEVELS = ("above", "below", "outside", "rate_above", "rate_below")
KINDS = LEVELS + ("stuck", "deadband")
KEYS = KINDS + tuple(
    "name sensor clear per within missing window step aggregate for keep_for cooldown late"
    " severity message on_missing on_bad".split()
)


def _pair(value: "Any") -> "tuple[Decimal, Decimal]":
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise FieldError("%r is not two numbers" % (value,))
    return decimal(value[0]), decimal(value[1])


def _positive(value: "Any") -> int:
    length_ms = duration_ms(value)
    if not length_ms:
        raise FieldError("%r is not longer than no time" % (value,))
    return length_ms


def _name(value: "Any") -> str:
    text = table.text(value)
    if "{" in text:
        raise FieldError("%r has a {, which would be a field in messages" % (value,))
    return text


def _size(value: "Any") -> "Decimal":
    size = decimal(value)
    if size[0] < 0:
        raise FieldError("%r is below 0" % (value,))
    return size


class Rule:
    """A rule, checked."""

    def __init__(self, values: "Any", path: str, faults: "list[str]") -> None:
        """Read a table of the KEYS; what is wrong goes into `faults`."""
        rule = table.Table(values, path, faults)
        if "name" not in rule:
            rule.fault("name", "is missing; events are called by it")
        self.name: str = rule.take("name", _name, "")
        self.sensor: Pattern = rule.take("sensor", Pattern) or Pattern("*")
        kinds = [kind for kind in KINDS if kind in rule]
        if not kinds and "missing" in rule:
            kinds = ["missing"]
        if len(kinds) != 1:
            has = " and ".join(kinds) or "none"
            problem = "%s: has %s of %s, missing; needs one" % (path, has, ", ".join(KINDS))
            rule.faults.append(problem)
        self.kind = kinds[0] if kinds else ""
        self.low: Decimal | None = None
        self.low_clear: Decimal | None = None
        self.high: Decimal | None = None
        self.high_clear: Decimal | None = None
        self.size: Decimal = (0, 0)  # of a deadband, or of what a stuck value may move
        self.aggregate: str = ""
        self.window_ms = self.step_ms = 0
        self.per_ms = 1000
        self.stuck_ms = 0
        self.condition = ""  # in words
        if self.kind in LEVELS:
            self._read_levels(rule)
        elif self.kind == "stuck":
            self.stuck_ms = rule.take("stuck", _positive, 0)
            self.size = rule.take("within", _size, (0, 0))
            self.condition = "stuck for " + show_ms(self.stuck_ms)
        elif self.kind == "deadband":
            self.size = rule.take("deadband", _size, (0, 0))
            self.condition = "moved by more than %s" % show(self.size)
        self._read_states(rule)
        self._read_event(rule)
        rule.end(KEYS)
        # Tells this rule from what it was before: a saved state is good for the same one only.
        deciding = (
            self.condition,
            (self.low_clear, self.high_clear, self.size, self.step_ms, self.window_ms),
            (self.for_ms, self.keep_for_ms, self.cooldown_ms, self.missing_ms),
            (self.on_bad, self.on_missing),
        )
        self.fingerprint = crc32(repr(deciding).encode())

    def _read_event(self, rule: table.Table) -> None:
        self.severity: str = rule.take("severity", table.choice(SEVERITIES), "warning")
        message = rule.take("message", event_text.template, event_text.MESSAGE)
        # Filled as far as is known: a board can send it, and {sensor} {value} {unit} are left.
        message = event_text.fill(
            message, event_text.FIELDS[:3], (self.name, self.severity, self.condition)
        )
        self.message: str = message
        if len(message.encode()) > event_text.SIZE_MAX:
            rule.fault(
                "message", "is longer than %d bytes once it is filled" % event_text.SIZE_MAX
            )

    def _read_levels(self, rule: table.Table) -> None:
        kind = self.kind
        fault_count = len(rule.faults)
        if kind == "outside":
            self.low, self.high = rule.take(kind, _pair, ((0, 0), (0, 0)))
            self.low_clear, self.high_clear = rule.take("clear", _pair, (self.low, self.high))
            text = "%s..%s" % (show(self.low), show(self.high))
        else:
            level = rule.take(kind, decimal, (0, 0))
            clear = rule.take("clear", decimal, level)
            text = show(level)
            if kind.endswith("above"):
                self.high, self.high_clear = level, clear
            else:
                self.low, self.low_clear = level, clear
        order = [self.low, self.low_clear, self.high_clear, self.high]
        levels = [level for level in order if level is not None]
        for index in range(1, len(levels)):
            if len(rule.faults) == fault_count and is_below(levels[index], levels[index - 1]):
                shown = " ".join([show(level) for level in levels])
                rule.fault(kind, "%s is the wrong order of low, clear, high" % shown)
        self.condition = "%s %s" % (kind.replace("_", " "), text)
        if kind.startswith("rate"):
            self.window_ms = rule.take("window", _positive, 60000)
            self.per_ms = rule.take("per", _positive, 1000)
            self.condition += " per " + show_ms(self.per_ms)
        elif "aggregate" in rule or "window" in rule:
            if "aggregate" not in rule or "window" not in rule:
                rule.fault("aggregate", "and window go together")
            self.aggregate = rule.take("aggregate", table.choice(AGGREGATES), "")
            self.window_ms = rule.take("window", _positive, 0)
            self.step_ms = rule.take("step", _positive, 0)
            if not self.step_ms:
                panes = 12
                while self.window_ms % panes:
                    panes -= 1
                self.step_ms = self.window_ms // panes
            window_ms, step_ms = self.window_ms, self.step_ms
            if window_ms and (window_ms % step_ms or window_ms > step_ms * _PANE_COUNT_MAX):
                rule.fault(
                    "step",
                    "%s does not divide a window of %s into at most %d parts"
                    % (show_ms(step_ms), show_ms(window_ms), _PANE_COUNT_MAX),
                )
            stretch = show_ms(self.window_ms)
            self.condition = "%s of %s %s" % (self.aggregate, stretch, self.condition)

    def _read_states(self, rule: table.Table) -> None:
        self.for_ms: int = rule.take("for", duration_ms, 0)
        is_moment = self.kind == "deadband"  # its event is never over
        self.keep_for_ms: int = 0 if is_moment else rule.take("keep_for", duration_ms, 0)
        self.cooldown_ms: int = rule.take("cooldown", duration_ms, 0)
        self.late_ms: int = rule.take("late", duration_ms, 300000)
        is_timed = "missing" in rule
        self.missing_ms: int = rule.take("missing", _positive, 0)
        self.on_bad: str = HOLD
        self.on_missing: str = FIRE
        if self.kind == "missing":  # a bad reading is no measurement: it is missing
            self.condition = "missing for " + show_ms(self.missing_ms)
        else:
            policy = table.choice(POLICIES[:2] if is_moment else POLICIES)
            self.on_bad = rule.take("on_bad", policy, HOLD)
            self.on_missing = rule.take("on_missing", policy, HOLD)
            if self.on_missing != HOLD and not is_timed:
                rule.fault("missing", "must say after which time on_missing is in force")


def read_rules(tables: "Sequence[Any]", path: str = "rules") -> "tuple[Rule, ...]":
    """Return the rules that `tables` stand for. Raises TableError with every fault."""
    faults: list[str] = []
    if not isinstance(tables, (list, tuple)):
        raise TableError(["%s: must be a list of tables" % path])
    if len(tables) > RULE_COUNT_MAX:
        raise TableError(["%s: %d, at most %d" % (path, len(tables), RULE_COUNT_MAX)])
    rules = []
    names = []
    for index in range(len(tables)):
        rule = Rule(tables[index], "%s[%d]" % (path, index), faults)
        if rule.name and rule.name in names:
            faults.append("%s[%d].name: %r is there twice" % (path, index, rule.name))
        names.append(rule.name)
        rules.append(rule)
    if faults:
        raise TableError(faults)
    return tuple(rules)
