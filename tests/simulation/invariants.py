"""What must hold after every run, whatever went wrong in it: the store against the truth.

Each check raises `Broken` with the invariant's name and the numbers. Between them

    sampled = stored + denied + aggregated + lost (each in a gap record) + in flight

for every boot, number by number, and the same for events.
"""

import sqlite3

from pyv_edge_agent.store import read_ledger, verify

from . import seals
from .boot_check import BootCheck
from .broken import Broken
from .host_rule_check import check_host_rules
from .time_check import TimeCheck


class Checked:
    """The figures of a run that has passed."""

    def __init__(self):
        self.sampled = self.stored = self.denied = self.aggregated = 0
        self.lost = self.in_flight = self.gaps = 0
        self.events_of_boards = self.events_of_host = 0
        self.error_ms_max = 0
        self.dated_back = 0


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
        times = TimeCheck(connection, world.true_clock)
        _check_rows(connection, boots, names, times)
        _check_events(connection, boots, names, times)
        times.check_gaps(connection)
        times.end()
        for one in boots.values():
            one.end(checked)
        checked.dated_back, checked.events_of_host = check_host_rules(
            connection, world, names, times
        )
        _check_summaries(connection, checked)
    finally:
        connection.close()
    seals.check(world)
    _check_ledger(world, checked)
    _check_evidence(world)
    world.asking.check()
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


def _check_rows(connection, boots, names, times):
    by_id = {one.boot_id: one for one in boots.values()}
    find = times.of(0)
    for *row, time_quality in connection.execute(
        "SELECT id, boot_id, seq, channel_id, utc_ms, error_ms, quality & 3, value, quality >> 2"
        " FROM reading WHERE stream = 0 ORDER BY id"
    ):
        segment = find(row[0])
        segment.readings += 1
        one = by_id[row[1]]
        if time_quality != segment.time_quality:
            times.check_quality(segment, one.time_quality(time_quality), "reading %d" % row[0])
        one.row(row, names, segment)


def _check_events(connection, boots, names, times):
    by_id = {one.boot_id: one for one in boots.values()}
    find = times.of(1)
    for row in connection.execute(
        "SELECT id, boot_id, seq, channel_id, rule, state, value, utc_ms, time_quality FROM event"
        " ORDER BY id"
    ):
        segment = find(row[0])
        time_quality = by_id[row[1]].time_quality(row[-1])
        times.check_quality(segment, time_quality, "event %d" % row[0])
        if row[2] is not None:  # else it is of the host's own rules
            by_id[row[1]].event(row, names, segment)


def _check_summaries(connection, checked):
    (rolled,) = connection.execute(
        "SELECT count(*) FROM reading WHERE id <="
        " coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'rolled_id'), 0)"
    ).fetchone()
    for period_ms in (60_000, 3_600_000):
        (count,) = connection.execute(
            "SELECT coalesce(sum(count + bad_count), 0) FROM summary WHERE period_ms = ?",
            (period_ms,),
        ).fetchone()
        if count != checked.aggregated + rolled:
            raise Broken(
                "summaries are complete: %d readings in those of %d ms, %d were aggregated and"
                " %d are summarised" % (count, period_ms, checked.aggregated, rolled)
            )


def _check_evidence(world):
    verdict = verify(world.disk.path)
    if not verdict.fits:
        raise Broken("nothing was changed: %s" % verdict.problems[0])


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
