"""What must hold after every run, whatever went wrong in it: the store against the truth.

Each check raises `Broken` with the invariant's name and the numbers. Between them

    sampled = stored + denied + aggregated + lost (each in a gap record) + in flight

for every boot, number by number, and the same for events.
"""

import sqlite3

from pyv_edge_agent.store import read_ledger
from pyv_edge_core.reading import QUALITY_BAD

from .boot_check import BootCheck, compare_events
from .broken import Broken
from .oracle import LateFilter, RuleOracle


class Checked:
    """The figures of a run that has passed."""

    def __init__(self):
        self.sampled = self.stored = self.denied = self.aggregated = 0
        self.lost = self.in_flight = self.gaps = 0
        self.events_of_boards = self.events_of_host = 0
        self.error_ms_max = 0
        self.late_for_rules = 0


def check(world):
    """Check a world that has come to its end; return its figures. Raises Broken."""
    connection = sqlite3.connect(f"file:{world.disk.path}?mode=ro", uri=True)
    try:
        checked = Checked()
        boots = {}
        for board in world.boards:
            for truth in board.boots:
                boots[truth.boot] = BootCheck(world, board, truth)
        _read_streams(connection, boots)
        names = _channel_names(connection)
        _check_rows(connection, boots, names)
        _check_events(connection, boots, names)
        for one in boots.values():
            one.end(checked)
        if not world.plan.has_clock_steps:
            checked.late_for_rules, checked.events_of_host = _check_host_rules(
                connection, world, names
            )
        _check_summaries(connection, checked)
    finally:
        connection.close()
    _check_ledger(world, checked)
    return checked


def _read_streams(connection, boots):
    for boot, boot_id, stream, next_seq in connection.execute(
        "SELECT boot, id, stream, next_seq FROM boot JOIN stream ON boot_id = id"
    ):
        if boot not in boots:
            raise Broken("stored boots exist: boot %08x never was" % boot)
        boots[boot].boot_id = boot_id
        boots[boot].next_seq[stream] = next_seq
    for boot, stream, first, last, cause in connection.execute(
        "SELECT boot, stream, first_seq, last_seq, cause FROM gap JOIN boot ON boot.id = boot_id"
        " ORDER BY gap.id"
    ):
        boots[boot].gaps[stream].append((first, last + 1, cause))


def _channel_names(connection):
    """Return (device, name) of each channel's id."""
    return {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT channel.id, device.name, channel.name FROM channel"
            " JOIN device ON device.id = device_id"
        )
    }


def _check_rows(connection, boots, names):
    by_id = {one.boot_id: one for one in boots.values()}
    for row in connection.execute(
        "SELECT boot_id, seq, channel_id, utc_ms, error_ms, quality & 3, value"
        " FROM reading WHERE stream = 0 ORDER BY id"
    ):
        by_id[row[0]].row(row, names)


def _check_events(connection, boots, names):
    by_id = {one.boot_id: one for one in boots.values()}
    for row in connection.execute(
        "SELECT boot_id, seq, channel_id, rule, state, value FROM event"
        " WHERE seq IS NOT NULL ORDER BY id"
    ):
        by_id[row[0]].event(row, names)


def _check_host_rules(connection, world, names):
    """Compare the events of the host's rules with what oracles make of what has arrived.

    A rule heeds no reading that is dated before one that it has seen, and what
    a reading is dated, is not exact: here the stored dates are taken.
    Returns how many readings were not heeded, and how many events there are.
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
            dates = LateFilter()
            expected = []
            for utc_ms, quality, value in connection.execute(
                "SELECT utc_ms, quality & 3, value FROM reading WHERE channel_id = ? ORDER BY id",
                (channel_id,),
            ):
                is_bad = quality == QUALITY_BAD
                if dates.is_late(utc_ms, is_bad):
                    continue
                for oracle in oracles:
                    state = oracle.update(utc_ms, value, is_bad)
                    if state:
                        expected.append((oracle.plan.name, state, None if is_bad else value / 100))
            late_total += dates.late_total
            found = connection.execute(
                "SELECT rule, state, value FROM event WHERE channel_id = ? AND seq IS NULL"
                " ORDER BY id",
                (channel_id,),
            ).fetchall()
            compare_events("events of the host's rules", channel.name, expected, found)
            count += len(found)
    return late_total, count


def _check_summaries(connection, checked):
    (count,) = connection.execute(
        "SELECT coalesce(sum(count + bad_count), 0) FROM summary WHERE period_ms = 60000"
    ).fetchone()
    if count != checked.aggregated:
        raise Broken(
            "summaries are complete: %d readings in them, %d were aggregated"
            % (count, checked.aggregated)
        )


def _check_ledger(world, checked):
    ledger = read_ledger(world.disk.path)
    if not ledger.is_balanced:
        wrong = [boot for boot in ledger.boots if not boot.is_balanced]
        raise Broken("the ledger balances: %s" % wrong)
    # Of a boot that is over, the host knows of no more than has come or was said.
    for name in ("stored", "aggregated", "lost", "duplicates"):
        known = getattr(checked, name, 0)
        if ledger.total(name) != known:
            raise Broken("the ledger is true: %s %d, %d known" % (name, ledger.total(name), known))
    if ledger.total("sampled") > checked.sampled:
        raise Broken(
            "the ledger is true: sampled %d, %d were" % (ledger.total("sampled"), checked.sampled)
        )
    alive = {board.truth.boot: board.truth for board in world.boards}
    for account in ledger.boots:
        truth = alive.get(int(account.boot, 16))
        if truth is None or account.stream != "telemetry":
            continue
        if (account.sampled, account.in_flight) != (truth.sampled, 0):
            raise Broken(
                "the ledger is true: %s has sampled %d and nothing is in flight; it says %s"
                % (account.device, truth.sampled, account)
            )
