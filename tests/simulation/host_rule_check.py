"""The events of the host's rules against what oracles make of what has arrived."""

from pyv_edge_core.reading import QUALITY_BAD

from .boot_check import compare_events
from .oracle import RuleOracle


def check_host_rules(connection, world, names, times):
    """Compare all events of the host's rules; return the readings that went back, and the events.

    Of a board, rules see no time go back. What a reading is dated, is not exact:
    here the stored dates are taken, on the time of rules, which no step of the
    clock moves. That time begins anew with the computer: compared is its first boot.
    """
    ids = {name: channel_id for channel_id, name in names.items()}
    back_total = count = 0
    for board in world.boards:
        oracles = _oracles(board.plan, ids)
        expected, back = _expected(connection, board.plan.name, oracles, times)
        back_total += back
        for channel_id in oracles:
            found = connection.execute(
                "SELECT rule, state, value, utc_ms FROM event"
                " WHERE channel_id = ? AND seq IS NULL AND id < ? ORDER BY id",
                (channel_id, times.second_boot(1)),
            ).fetchall()
            compare_events(
                "events of the host's rules", names[channel_id][1], expected[channel_id], found
            )
            count += len(found)
    return back_total, count


def _oracles(plan, ids):
    """Return the oracles of a board's rules, by channel_id; not of what never got through."""
    oracles = {}
    for rule in plan.host_rules:
        channel_id = ids.get((plan.name, plan.channels[rule.channel].name))
        if channel_id is not None:
            oracles.setdefault(channel_id, []).append(RuleOracle(rule))
    return oracles


def _expected(connection, device, oracles, times):
    """Return the events of one board by channel, and how many of its readings went back."""
    find = times.of(0)
    expected = {channel_id: [] for channel_id in oracles}
    newest_ms = back_total = 0
    for row_id, channel_id, utc_ms, quality, value in connection.execute(
        "SELECT reading.id, channel_id, utc_ms, quality & 3, value FROM reading"
        " JOIN channel ON channel.id = channel_id JOIN device ON device.id = device_id"
        " WHERE device.name = ? AND reading.id < ? ORDER BY reading.id",
        (device, times.second_boot(0)),
    ):
        shift_ms = find(row_id).rule_shift_ms
        back_total += utc_ms - shift_ms < newest_ms
        newest_ms = max(newest_ms, utc_ms - shift_ms)
        is_bad = quality == QUALITY_BAD
        for oracle in oracles.get(channel_id, ()):
            state = oracle.update(newest_ms, value, is_bad)
            if state:
                shown = None if is_bad else value / 100
                expected[channel_id].append((oracle.plan.name, state, shown, newest_ms + shift_ms))
    return expected, back_total
