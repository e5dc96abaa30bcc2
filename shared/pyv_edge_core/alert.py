"""A rule's state on one channel, and all rules of a channel together.

    state      condition true                      condition false
    inactive   -> pending, since this reading      stays
    pending    -> firing once it is true for       -> inactive
               `for`, not late, not in cooldown
    firing     stays                               -> inactive once it is false for `keep_for`

Driven by readings in event time and by `tick`. A reading older than the newest
measurement is late: it may correct a window, and changes no state. A reading that
comes later than the rule's `late` moves states but does not fire, nor does time
that passes after it. Allocates nothing, as long as the numbers are small integers
where it runs: on a 32-bit board a sum or a product beyond 2**30 takes heap for a moment.

Times are integers modulo `mask` + 1: on a board the ticks (2**30), on a host
UTC milliseconds with a mask so wide that they never wrap.
"""

from ._compat import TYPE_CHECKING, const
from .condition import make_condition
from .quantity import DURATION_MS_MAX
from .reading import QUALITY_BAD
from .rule import FIRE, HOLD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .rule import Rule

INACTIVE = const(0)
PENDING = const(1)
FIRING = const(2)
STATES = ("inactive", "pending", "firing")

NONE = const(0)
FIRED = const(1)
RESOLVED = const(2)
_SUPPRESSED = const(-1)

BOARD_MASK = const(0x3FFFFFFF)
HOST_MASK = const(0x3FFFFFFFFFFFFFFF)
# A condition is taken to go on if nothing is heard, but only after this time: readings that
# are on their way must not be overtaken by a clock.
SILENCE_MS = const(5000)
_AHEAD_MS = const(60000)  # a reading so far in the future comes from a wrong clock


class Alert:
    """One rule on one channel."""

    def __init__(self, rule: "Rule", exponent: "int | None", mask: int) -> None:
        self.rule = rule
        self.state = INACTIVE
        self.change = NONE  # what the last update did: NONE, FIRED, RESOLVED
        self.fired_total = 0
        self.is_idle = False  # is_quiet, as its Watch last saw it
        self.suppressed_total = 0  # readings that would have fired but for late or cooldown
        self.condition = make_condition(rule, exponent, mask)
        self._mask = mask
        self._since_ms = 0  # when it became pending
        self._fired_ms = 0
        self._is_cooling = False  # whether _fired_ms is within the cooldown, as far as known
        self._false_ms = 0
        self._is_clearing = False  # firing, and false since _false_ms
        self._is_true = False
        self._is_held = True  # the latest reading told nothing: time passes for nobody

    @property
    def is_quiet(self) -> bool:
        """Whether a value inside `condition.quiet` can't change anything."""
        return (
            self.state == INACTIVE
            and self.condition.quiet is not None
            and not self._is_true
            and not self.condition.is_true  # a policy may have overruled it
            and not self._is_held
        )

    def update(self, now_ms: int, time_ms: int, value: "Any", quality: int) -> int:
        """Take a reading, the newest of its channel; return what that changed."""
        if quality == QUALITY_BAD:
            policy = self.rule.on_bad
            if policy == HOLD:
                self._is_held = True
                self.change = NONE
                return NONE
            is_true = policy == FIRE
        else:
            is_true = self.condition.test(time_ms, value)
            if is_true is None:
                self._is_held = True
                self.change = NONE
                return NONE
        is_late = self._passed_ms(time_ms, now_ms) > self.rule.late_ms
        self._is_held = is_late  # how it was then says nothing about now
        self._is_true = is_true
        self.change = self._judge(time_ms, is_true, is_late)
        if self.change == _SUPPRESSED:
            self.suppressed_total += 1
            self.change = NONE
        return self.change

    def tick(self, now_ms: int, silent_ms: int) -> int:
        """Let time pass: nothing has been heard for `silent_ms`; return what that changed."""
        rule = self.rule
        self.change = NONE
        if self._passed_ms(self._fired_ms, now_ms) >= rule.cooldown_ms:
            self._is_cooling = False
        if rule.missing_ms and silent_ms >= rule.missing_ms:
            if rule.on_missing != HOLD:
                self._is_held = False
                self._is_true = rule.on_missing == FIRE
                self.change = self._judge(now_ms, self._is_true, False)
        elif silent_ms >= SILENCE_MS and not self._is_held:
            self.change = self._judge(now_ms, self._is_true, False)
        if self.change == _SUPPRESSED:
            self.change = NONE
        return self.change

    def restart(self, time_ms: int) -> None:
        """Keep the state, but let all its times be `time_ms`: the clock has been set."""
        self._since_ms = self._false_ms = time_ms
        self._is_cooling = False
        self.condition.restart()

    def _passed_ms(self, from_ms: int, to_ms: int) -> int:
        """Return how long it is from one time to another, 0 if that one is earlier.

        A tick may have been ahead of readings that were on their way.
        """
        passed_ms = (to_ms - from_ms) & self._mask
        return passed_ms if passed_ms <= self._mask >> 1 else 0

    def _judge(self, time_ms: int, is_true: bool, is_late: bool) -> int:
        rule = self.rule
        if not is_true:
            return self._clear(time_ms)
        self._is_clearing = False
        if self.state == FIRING:
            return NONE
        if self.state == INACTIVE:
            self.state = PENDING
            self._since_ms = time_ms
        if self._passed_ms(self._since_ms, time_ms) < rule.for_ms:
            return NONE
        if is_late or (
            self._is_cooling and self._passed_ms(self._fired_ms, time_ms) < rule.cooldown_ms
        ):
            return _SUPPRESSED
        self._fired_ms = time_ms
        self._is_cooling = rule.cooldown_ms > 0
        self.fired_total += 1
        if self.condition.is_moment:
            self.condition.fired()
            self._is_true = False
            self.state = INACTIVE
        else:
            self.state = FIRING
        return FIRED

    def _clear(self, time_ms: int) -> int:
        if self.state != FIRING:
            self.state = INACTIVE
            return NONE
        if not self._is_clearing:
            self._is_clearing = True
            self._false_ms = time_ms
        if self._passed_ms(self._false_ms, time_ms) < self.rule.keep_for_ms:
            return NONE
        self._is_clearing = False
        self.state = INACTIVE
        return RESOLVED

    def save(self) -> "list[Any]":
        """Return the state as a list of numbers and lists."""
        return [
            self.state,
            self._since_ms,
            self._fired_ms,
            int(self._is_cooling),
            self._false_ms,
            int(self._is_clearing),
            int(self._is_true),
            int(self._is_held),
            self.condition.save(),
        ]

    def restore(self, state: "list[Any]") -> None:
        """Take over what `save` returned for the same rule and the same exponent."""
        self.state, self._since_ms, self._fired_ms = state[0], state[1], state[2]
        self._is_cooling = state[3] == 1
        self._false_ms = state[4]
        self._is_clearing = state[5] == 1
        self._is_true = state[6] == 1
        self._is_held = state[7] == 1
        self.condition.restore(state[8])


class Watch:
    """All rules of one channel."""

    def __init__(
        self, rules: "Sequence[Rule]", exponent: "int | None", mask: int, now_ms: int
    ) -> None:
        """Watch a channel from `now_ms` on with the rules that are about it."""
        self.alerts = [Alert(rule, exponent, mask) for rule in rules]
        self.late_total = 0  # readings older than one that had come
        self._mask = mask
        self._half = mask >> 1
        self._newest_ms = now_ms  # time of the newest measurement
        self._is_known = False  # whether there has been one
        self._began_ms = now_ms
        self._is_young = True  # for the first three days
        self.is_quiet = False  # no alert is more than inactive, and no value inside changes that
        self._low: Any = None
        self._high: Any = None
        for alert in self.alerts:
            if alert.condition.quiet is not None:
                low, high = alert.condition.quiet
                if low is not None and (self._low is None or low > self._low):
                    self._low = low
                if high is not None and (self._high is None or high < self._high):
                    self._high = high

    def update(self, now_ms: int, time_ms: int, value: "Any", quality: int) -> int:
        """Take a reading; return how many alerts fired or resolved, see their `change`."""
        if (time_ms - self._newest_ms) & self._mask > self._half and not self._is_newer(
            now_ms, time_ms, value, quality
        ):
            return 0
        if quality != QUALITY_BAD:
            self._newest_ms = time_ms
            self._is_known = True
            if (
                self.is_quiet
                and (self._low is None or value >= self._low)
                and (self._high is None or value <= self._high)
            ):
                return 0
        changes = 0
        is_quiet = True
        for alert in self.alerts:
            if alert.is_idle and quality != QUALITY_BAD:
                low, high = alert.condition.quiet
                if (low is None or value >= low) and (high is None or value <= high):
                    alert.change = NONE
                    continue
            if alert.update(now_ms, time_ms, value, quality):
                changes += 1
            alert.is_idle = alert.is_quiet
            is_quiet = is_quiet and alert.is_idle
        self.is_quiet = is_quiet
        return changes

    def restart(self, now_ms: int) -> None:
        """Go on at `now_ms`: the clock has been set, and times before that mean nothing now."""
        self._newest_ms = self._began_ms = now_ms
        self._is_young = True
        self._is_known = False
        for alert in self.alerts:
            alert.restart(now_ms)
        self._settle()

    def _is_newer(self, now_ms: int, time_ms: int, value: "Any", quality: int) -> bool:
        """Return whether a reading counts although its time is before the newest's."""
        if not self._is_known:
            return True  # the first: taken before we began
        if _AHEAD_MS < (self._newest_ms - now_ms) & self._mask <= self._half:
            # The newest lies in the future: a clock was wrong, and has been set.
            self._newest_ms = time_ms
            for alert in self.alerts:
                alert.restart(time_ms)
            return True
        self.late_total += 1
        if quality != QUALITY_BAD:
            for alert in self.alerts:
                alert.change = NONE
                if alert.condition.window is not None:
                    alert.condition.window.add(time_ms, value)
        return False

    def tick(self, now_ms: int) -> int:
        """Let time pass; return how many alerts fired or resolved. Once a second is enough."""
        silent_ms = (now_ms - self._newest_ms) & self._mask
        if silent_ms > self._half:
            return 0
        if silent_ms > DURATION_MS_MAX:
            # Before ticks wrap and the old times seem to be new ones.
            self._is_known = False
            self._newest_ms = (now_ms - DURATION_MS_MAX) & self._mask
            for alert in self.alerts:
                alert.restart(self._newest_ms)
        if self._is_young:
            # While nobody listened nothing was missing: it is counted from when we began.
            young_ms = (now_ms - self._began_ms) & self._mask
            if young_ms > DURATION_MS_MAX:
                self._is_young = young_ms > self._half  # that is before we began
            elif young_ms < silent_ms:
                silent_ms = young_ms
        changes = 0
        for alert in self.alerts:
            if alert.tick(now_ms, silent_ms):
                changes += 1
        self._settle()
        return changes

    def _settle(self) -> None:
        self.is_quiet = True
        for alert in self.alerts:
            alert.is_idle = alert.is_quiet
            self.is_quiet = self.is_quiet and alert.is_idle

    def save(self) -> "list[Any]":
        """Return the state of all alerts as numbers and lists, for JSON."""
        saved = [[one.rule.name, one.rule.fingerprint, one.save()] for one in self.alerts]
        return [self._newest_ms, int(self._is_known), saved]

    def restore(self, state: "list[Any]") -> None:
        """Take over what `save` returned; a rule that is new or has changed begins anew."""
        self._newest_ms = state[0]
        self._is_known = state[1] == 1
        for name, fingerprint, saved in state[2]:
            for alert in self.alerts:
                if (alert.rule.name, alert.rule.fingerprint) == (name, fingerprint):
                    alert.restore(saved)
        self._settle()
