"""Rules told again, slowly: all readings stay in lists, conditions are worked out from them.

Exact fractions, times that never wrap, nothing kept that could be counted again.
Written from RULES.md and the docstrings of the core, for test_rule_property.py.
"""

from fractions import Fraction

DAY_MS = 86400000
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": DAY_MS}


def ms(duration):
    """Return the milliseconds of a duration as tables have it."""
    if not isinstance(duration, str):
        return int(Fraction(str(duration)) * 1000)
    for unit in ("ms", "s", "m", "h", "d"):
        if duration.endswith(unit):
            return int(Fraction(duration[: -len(unit)]) * _UNITS_MS[unit])
    return int(Fraction(duration) * 1000)


def number(value):
    return Fraction(str(value))


class _Reading:
    def __init__(self, time_ms, value, is_late):
        self.time_ms = time_ms
        self.value = value
        self.is_late = is_late  # older than one that had come: for windows only


# -- conditions: all measurements of a channel in, what the last one means out -----------


def _is_beyond(values, table):
    """Return whether the last of `values` is beyond the levels, given those before it."""
    kind = next(k for k in ("above", "below", "outside", "rate_above", "rate_below") if k in table)
    low = high = low_clear = high_clear = None
    level = table[kind]
    if kind == "outside":
        low, high = map(number, level)
        low_clear, high_clear = map(number, table.get("clear", level))
    elif kind.endswith("above"):
        high, high_clear = number(level), number(table.get("clear", level))
    else:
        low, low_clear = number(level), number(table.get("clear", level))
    is_true = False
    for value in values:
        below, above = (low_clear, high_clear) if is_true else (low, high)
        is_true = (below is not None and value < below) or (above is not None and value > above)
    return is_true


def _rate(readings, window_ms):
    """Return the change per millisecond up to the last of `readings`, None if not known."""
    kept = []
    for reading in readings:
        if not kept or (reading.time_ms - kept[-1].time_ms) * 8 >= window_ms:
            kept.append(reading)
    last = readings[-1]
    old = [one for one in kept if last.time_ms - one.time_ms >= window_ms]
    base = old[-1] if old else kept[0]
    elapsed_ms = last.time_ms - base.time_ms
    if not elapsed_ms or elapsed_ms * 2 < window_ms:
        return None
    return Fraction(last.value - base.value) / elapsed_ms


def _aggregate(values, kind):
    return {
        "mean": lambda: Fraction(sum(values)) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "sum": lambda: sum(values),
        "count": lambda: Fraction(len(values)),
        "range": lambda: max(values) - min(values),
    }[kind]()


def _windows(readings, table):
    """Return what each window was that has been judged, and whether the last is to count."""
    window_ms = ms(table["window"])
    step_ms = ms(table["step"])
    is_tumbling = window_ms == step_ms
    judged = []
    newest = None
    for index, reading in enumerate(readings):
        pane = reading.time_ms // step_ms
        if reading.is_late:  # after a restart it may be the first
            newest = pane if newest is None else max(newest, pane)
            continue
        known = readings[: index + 1]
        if is_tumbling:
            if newest is not None and pane > newest:
                before = readings[:index]
                values = [one.value for one in before if one.time_ms // step_ms == newest]
                judged.append(_aggregate(values, table["aggregate"]))
        else:
            first = pane - window_ms // step_ms
            values = [one.value for one in known if first < one.time_ms // step_ms <= pane]
            judged.append(_aggregate(values, table["aggregate"]))
        newest = pane
    return judged


class SlowCondition:
    def __init__(self, table):
        self.table = table
        self.chapters = [[]]  # a new one begins whenever a clock was set or readings got lost
        self.reference = None  # of a deadband

    def add(self, time_ms, value, is_late):
        self.chapters[-1].append(_Reading(time_ms, value, is_late))

    def forget(self):
        self.chapters.append([])

    def judge(self):
        """Return whether it holds for the reading that was added last, None if not known."""
        table = self.table
        chapter = [one for one in self.chapters[-1] if not one.is_late]
        everything = [one for chapter in self.chapters for one in chapter if not one.is_late]
        if "stuck" in table:
            run = []
            for reading in chapter:
                values = [one.value for one in run] + [reading.value]
                if max(values) - min(values) > number(table.get("within", 0)):
                    run = []
                run.append(reading)
            return run[-1].time_ms - run[0].time_ms >= ms(table["stuck"])
        if "deadband" in table:
            if self.reference is None:
                self.reference = everything[0].value
            return abs(everything[-1].value - self.reference) > number(table["deadband"])
        if "rate_above" in table or "rate_below" in table:
            return self._judge_rates()
        if "aggregate" in table:
            windows = [window for one in self.chapters for window in _windows(one, table)]
            if ms(table["window"]) == ms(table["step"]) and not _windows(self.chapters[-1], table):
                return None
            return _is_beyond(windows, table)
        if {"above", "below", "outside"} & set(table):
            return _is_beyond([one.value for one in everything], table)
        return False  # about missing measurements only

    def _judge_rates(self):
        table = self.table
        per_ms = ms(table.get("per", 1))
        rates = []
        for chapter in self.chapters:
            for index in range(len(chapter)):
                in_order = [one for one in chapter[: index + 1] if not one.is_late]
                if chapter[index].is_late:
                    continue
                rate = _rate(in_order, ms(table.get("window", 60)))
                rates.append(None if rate is None else rate * per_ms)
        if rates[-1] is None:
            return None
        return _is_beyond([rate for rate in rates if rate is not None], table)


# -- states ------------------------------------------------------------------------


class SlowAlert:
    def __init__(self, table):
        self.table = table
        self.condition = SlowCondition(table)
        self.state = "inactive"
        self.change = ""
        self.fired_total = self.suppressed_total = 0
        self.pending_ms = self.fired_ms = self.over_ms = None
        self.latest = None  # whether it was true at last; None: the latest told nothing of now

    def _time(self, key):
        return ms(self.table.get(key, 300 if key == "late" else 0))

    def update(self, now_ms, time_ms, value):
        """Take a reading, the newest; its value is None if it is bad."""
        self.change = ""
        if value is None:
            policy = self.table.get("on_bad", "hold")
            truth = {"hold": None, "resolve": False, "fire": True}[policy]
        else:
            self.condition.add(time_ms, value, False)
            truth = self.condition.judge()
        if truth is None:
            self.latest = None
            return
        is_late = now_ms - time_ms > self._time("late")
        self.latest = None if is_late else truth
        self._judge(time_ms, truth, is_late, True)

    def tick(self, now_ms, silent_ms):
        self.change = ""
        if self.fired_ms is not None and now_ms - self.fired_ms >= self._time("cooldown"):
            self.fired_ms = None
        missing_ms = self._time("missing")
        default = "hold" if len(self.table.keys() & _CONDITIONS) else "fire"
        if missing_ms and silent_ms >= missing_ms:
            policy = self.table.get("on_missing", default)
            if policy != "hold":
                self.latest = policy == "fire"
                self._judge(now_ms, self.latest, False, False)
        elif silent_ms >= 5000 and self.latest is not None:
            self._judge(now_ms, self.latest, False, False)

    def clock_set(self, time_ms):
        if self.pending_ms is not None:
            self.pending_ms = time_ms
        if self.over_ms is not None:
            self.over_ms = time_ms
        self.fired_ms = None
        self.condition.forget()

    def _judge(self, time_ms, truth, is_late, is_reading):
        if not truth:
            if self.state == "firing":
                if self.over_ms is None:
                    self.over_ms = time_ms
                if time_ms - self.over_ms < self._time("keep_for"):
                    return
                self.change = "resolves"
            self.state = "inactive"
            self.pending_ms = self.over_ms = None
            return
        self.over_ms = None
        if self.state == "firing":
            return
        if self.state == "inactive":
            self.state = "pending"
            self.pending_ms = time_ms
        if max(0, time_ms - self.pending_ms) < self._time("for"):
            return
        is_cooling = self.fired_ms is not None and (
            max(0, time_ms - self.fired_ms) < self._time("cooldown")
        )
        if is_late or is_cooling:
            self.suppressed_total += is_reading
            return
        self.change = "fires"
        self.fired_total += 1
        self.fired_ms = time_ms
        self.pending_ms = None
        self.state = "firing"
        if "deadband" in self.table:
            self.state = "inactive"
            self.latest = self.latest and False
            readings = [one for chapter in self.condition.chapters for one in chapter]
            self.condition.reference = [one.value for one in readings if not one.is_late][-1]


_CONDITIONS = {"above", "below", "outside", "rate_above", "rate_below", "stuck", "deadband"}


class SlowWatch:
    def __init__(self, tables, now_ms):
        self.alerts = [SlowAlert(table) for table in tables]
        self.newest_ms = now_ms
        self.began_ms = now_ms
        self.is_young = True
        self.is_known = False
        self.late_total = 0

    def update(self, now_ms, time_ms, value):
        if time_ms < self.newest_ms and self.is_known:
            if self.newest_ms - now_ms <= 60000:
                self.late_total += 1
                for alert in self.alerts:
                    alert.change = ""
                    if value is not None:
                        alert.condition.add(time_ms, value, True)
                return
            self.newest_ms = time_ms
            for alert in self.alerts:
                alert.clock_set(time_ms)
        if value is not None:
            self.newest_ms = time_ms
            self.is_known = True
        for alert in self.alerts:
            alert.update(now_ms, time_ms, value)

    def tick(self, now_ms):
        silent_ms = now_ms - self.newest_ms
        for alert in self.alerts:
            alert.change = ""
        if silent_ms < 0:
            return
        if silent_ms > 3 * DAY_MS:
            self.is_known = False
            self.newest_ms = now_ms - 3 * DAY_MS
            for alert in self.alerts:
                alert.clock_set(self.newest_ms)
        # What was missing while nobody listened is not missing: for three days that can matter.
        if self.is_young and now_ms >= self.began_ms:
            self.is_young = now_ms - self.began_ms <= 3 * DAY_MS
            if self.is_young:
                silent_ms = min(silent_ms, now_ms - self.began_ms)
        for alert in self.alerts:
            alert.tick(now_ms, silent_ms)

    def restart(self, now_ms):
        """Let the program stop and begin again: what is in windows is lost."""
        self.began_ms = now_ms
        self.is_young = True
        self.late_total = 0
        for alert in self.alerts:
            alert.fired_total = alert.suppressed_total = 0
            if (
                "window" in alert.table
                or "rate_above" in alert.table
                or "rate_below" in alert.table
            ):
                alert.condition.forget()
