"""Rules: how their tables are read, and what their alerts do, for operations.py."""

from pyv_edge_core import event_text
from pyv_edge_core.alert import BOARD_MASK, HOST_MASK, Watch
from pyv_edge_core.errors import TableError
from pyv_edge_core.rule import read_rules
from script import Subject, nothing

_MASKS = {"board": BOARD_MASK, "host": HOST_MASK}


def places(faults):
    """Return where each fault is: what it says of it is text."""
    return [fault.split(": ")[0] for fault in faults]


def _read(_, tables):
    try:
        rules = read_rules(tables)
    except TableError as error:
        return places(error.faults)
    return [
        (rule.name, rule.fingerprint, event_text.render(rule.message, "a.b", "1", "Cel"))
        for rule in rules
    ]


RULES = Subject("rules", lambda: None, nothing, {"read": _read}, ())


class _Watched:
    """A watch and what it is made of, so that it can be made again from what it saved."""

    def __init__(self, tables, exponent, mask, now_ms):
        self._arguments = (read_rules(tables), exponent, _MASKS[mask])
        self.watch = Watch(*self._arguments, now_ms)

    def reopen(self, now_ms):
        saved = self.watch.save()
        self.watch = Watch(*self._arguments, now_ms)
        self.watch.restore(saved)


def _look(watched):
    watch = watched.watch
    alerts = [
        (alert.state, alert.change, alert.fired_total, alert.suppressed_total, alert.is_quiet)
        for alert in watch.alerts
    ]
    return alerts, watch.late_total, watch.save()


WATCH = Subject(
    "watch",
    _Watched,
    _look,
    {
        "update": lambda watched, *reading: watched.watch.update(*reading),
        "tick": lambda watched, now_ms: watched.watch.tick(now_ms),
        "reopen": _Watched.reopen,
    },
    ("TableError",),
)
