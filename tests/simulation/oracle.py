"""What rules must say of a sequence of values: told again, one reading at a time.

Written from RULES.md and tests/property/slow_rules.py, which is too slow for
hours; shares no code with the core. Covers what depends on readings alone:
levels with hysteresis, deadbands, rates over a window; `for`, `keep_for` and
`cooldown` on boards, as long as no silence lasts until time itself decides.
Left out, and so not used by any plan: stuck, missing, windows of aggregates.
"""


class _Levels:
    """Beyond low..high, until within the clear levels again."""

    def __init__(self, plan):
        self._plan = plan
        self._is_beyond = False

    def judge(self, value, weight):
        """Return whether value / weight is beyond the levels."""
        plan = self._plan
        if self._is_beyond:
            low, high = plan.low_clear, plan.high_clear
        else:
            low, high = plan.low, plan.high
        self._is_beyond = (low is not None and value < low * weight) or (
            high is not None and value > high * weight
        )
        return self._is_beyond

    def test(self, time_ms, value):
        return self.judge(value, 1)


class _Rate:
    """The change over a window; of readings closer than an eighth of it the first counts."""

    def __init__(self, plan):
        self._levels = _Levels(plan)
        self._plan = plan
        self._kept = []  # (time, value), oldest first

    def test(self, time_ms, value):
        kept, window_ms = self._kept, self._plan.window_ms
        if not kept or (time_ms - kept[-1][0]) * 8 >= window_ms:
            kept.append((time_ms, value))
        old = [one for one in kept if time_ms - one[0] >= window_ms]
        if old:
            self._kept = kept = [old[-1], *kept[len(old) :]]
        base_ms, base = kept[0]
        elapsed_ms = time_ms - base_ms
        if not elapsed_ms or elapsed_ms * 2 < window_ms:
            return None
        return self._levels.judge((value - base) * self._plan.per_ms, elapsed_ms)


class _Deadband:
    """Further than `size` from where it was at the last event."""

    def __init__(self, plan):
        self._size = plan.size
        self._reference = None
        self._latest = None

    def test(self, time_ms, value):
        if self._reference is None:
            self._reference = value
        self._latest = value
        return abs(value - self._reference) > self._size

    def fired(self):
        self._reference = self._latest


class RuleOracle:
    """One rule on one channel."""

    def __init__(self, plan):
        self.plan = plan
        kind = {"deadband": _Deadband, "rate_above": _Rate, "rate_below": _Rate}
        self._condition = kind.get(plan.kind, _Levels)(plan)
        self._state = "inactive"
        self._pending_ms = self._over_ms = self._fired_ms = None

    def update(self, time_ms, value, is_bad):
        """Take a reading; return "firing", "resolved" or ""."""
        plan = self.plan
        if is_bad:
            if plan.on_bad == "hold":
                return ""
            truth = False  # on_bad = "resolve": plans have no other
        else:
            truth = self._condition.test(time_ms, value)
            if truth is None:
                return ""
        return self._rise(time_ms) if truth else self._fall(time_ms)

    def _fall(self, time_ms):
        if self._state == "firing":
            if self._over_ms is None:
                self._over_ms = time_ms
            if time_ms - self._over_ms < self.plan.keep_for_ms:
                return ""
        was_firing = self._state == "firing"
        self._state = "inactive"
        self._pending_ms = self._over_ms = None
        return "resolved" if was_firing else ""

    def _rise(self, time_ms):
        plan = self.plan
        self._over_ms = None
        if self._state == "firing":
            return ""
        if self._state == "inactive":
            self._state = "pending"
            self._pending_ms = time_ms
        if time_ms - self._pending_ms < plan.for_ms:
            return ""
        if self._fired_ms is not None and time_ms - self._fired_ms < plan.cooldown_ms:
            return ""
        self._fired_ms = time_ms
        if plan.kind == "deadband":
            self._condition.fired()
            self._state = "inactive"
        else:
            self._state = "firing"
        return "firing"
