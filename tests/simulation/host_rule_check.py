"""The events of the host's rules against what oracles make of what has arrived."""

from pyv_edge_core.reading import QUALITY_BAD

from .boot_check import compare_events
from .oracle import LateFilter, RuleOracle


def check_host_rules(connection, world, names, times):
    """Compare all events of the host's rules; return the readings not heeded, and the events.

    A rule heeds no reading that is dated before one that it has seen, and what
    a reading is dated, is not exact: here the stored dates are taken, on the time
    of rules, which no step of the clock moves. An event has its reading's date.
    That time begins anew with the computer: compared is its first boot.
    """
    ids = {name: channel_id for channel_id, name in names.items()}
    late_total = count = 0
    for board in world.boards:
        plan = board.plan
        for index in {rule.channel for rule in plan.host_rules}:
            channel = plan.channels[index]
            channel_id = ids.get((plan.name, channel.name))
            if channel_id is None:
                continue  # the board never got through
            oracles = [RuleOracle(rule) for rule in plan.host_rules if rule.channel == index]
            expected, late = _expected(connection, channel_id, oracles, times)
            late_total += late
            found = connection.execute(
                "SELECT rule, state, value, utc_ms FROM event"
                " WHERE channel_id = ? AND seq IS NULL AND id < ? ORDER BY id",
                (channel_id, times.second_boot(1)),
            ).fetchall()
            compare_events("events of the host's rules", channel.name, expected, found)
            count += len(found)
    return late_total, count


def _expected(connection, channel_id, oracles, times):
    """Return the events of one channel, and how many readings came too late for its rules."""
    dates = LateFilter()
    find = times.of(0)
    expected = []
    for row_id, utc_ms, quality, value in connection.execute(
        "SELECT id, utc_ms, quality & 3, value FROM reading"
        " WHERE channel_id = ? AND id < ? ORDER BY id",
        (channel_id, times.second_boot(0)),
    ):
        is_bad = quality == QUALITY_BAD
        time_ms = utc_ms - find(row_id).rule_shift_ms
        if dates.is_late(time_ms, is_bad):
            continue
        for oracle in oracles:
            state = oracle.update(time_ms, value, is_bad)
            if state:
                shown = None if is_bad else value / 100
                expected.append((oracle.plan.name, state, shown, utc_ms))
    return expected, dates.late_total
