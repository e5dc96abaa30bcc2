"""What many runs come to: sums, maxima, and a table of them."""

from collections import Counter

from .faults import STRIKES

ALL_KINDS_FROM = 100  # seeds: in fewer a kind of fault may not have its turn


class Report:
    """The outcomes of all seeds."""

    def __init__(self):
        self.seeds = 0
        self.failed = []  # seeds
        self.strikes = Counter()
        self.totals = Counter()
        self.maxima = {}

    def add(self, outcome):
        self.seeds += 1
        if outcome.problem:
            self.failed.append(outcome.seed)
            return
        self.strikes.update(outcome.strikes)
        self.totals.update(outcome.totals)
        for name, value in outcome.maxima.items():
            self.maxima[name] = max(value, self.maxima.get(name, 0))

    @property
    def missing(self):
        """The kinds of faults that have never struck, if there were runs enough for all."""
        if self.seeds < ALL_KINDS_FROM:
            return []
        return [name for name in STRIKES if not self.strikes[name]]

    @property
    def is_good(self):
        return not self.failed and not self.missing

    def table(self):
        """Return the figures as lines."""
        totals = dict(self.totals)
        seconds = totals.pop("device seconds", 0)
        lines = ["%-22s %12s" % ("fault", "times struck")]
        lines += ["%-22s %12d" % (name, self.strikes[name]) for name in STRIKES]
        lines += ["", "%-22s %12s" % ("in all", "")]
        lines.append("%-22s %12d" % ("seeds", self.seeds))
        lines.append("%-22s %12.1f" % ("device hours", seconds / 3600))
        lines += ["%-22s %12d" % item for item in (totals | self.maxima).items()]
        return "\n".join(lines)
