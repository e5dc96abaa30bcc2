"""Saved alerts: checked before they are believed, and moved to the time of this run.

A state is JSON: [newest_ms, is_known, [[rule, fingerprint, alert], ...]], as
`Watch.save` returns it. Its times are those that rules know; they begin with the
computer's clock when that boots, so what an earlier boot saved has to be moved.
"""

import json
import math
from typing import Any

from pyv_edge_core.alert import FIRING, Watch

_ALERT_SIZE = 9  # numbers of a saved alert, the last a list of its condition's
_ALERT_TIMES = (1, 2, 4)  # which of them are times
_CONDITION_TIMES = {"stuck": (1,)}  # by kind of rule: which numbers of its condition are


def restore(watch: Watch, saved: str, shift_ms: int) -> bool:
    """Let `watch` take over a saved state, `shift_ms` later; return False if it is damaged."""
    try:
        state = json.loads(saved)
        newest_ms, is_known, alerts = state
        is_sound = _are_numbers([newest_ms, is_known]) and all(
            isinstance(name, str)
            and _are_numbers([fingerprint, *alert[:-1], *alert[-1]])
            and len(alert) == _ALERT_SIZE
            and 0 <= alert[0] <= FIRING
            for name, fingerprint, alert in alerts
        )
        if is_sound:
            watch.restore(shifted(watch, state, shift_ms) if shift_ms else state)
    except (ValueError, TypeError, IndexError, KeyError):
        return False
    return is_sound


def shifted(watch: Watch, state: list[Any], shift_ms: int) -> list[Any]:
    """Return a sound state of `watch` with all its times `shift_ms` later."""
    newest_ms, is_known, alerts = state
    kinds = {one.rule.name: one.rule.kind for one in watch.alerts}
    moved = []
    for name, fingerprint, alert in alerts:
        times = _CONDITION_TIMES.get(kinds.get(name, ""), ())
        numbers = _later(alert[:-1], _ALERT_TIMES, shift_ms)
        moved.append([name, fingerprint, [*numbers, _later(alert[-1], times, shift_ms)]])
    return [newest_ms + shift_ms, is_known, moved]


def _later(numbers: list[Any], times: tuple[int, ...], shift_ms: int) -> list[Any]:
    # 0 is no time: it has not happened yet.
    return [
        number + shift_ms if index in times and number else number
        for index, number in enumerate(numbers)
    ]


def _are_numbers(values: list[Any]) -> bool:
    return all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )
