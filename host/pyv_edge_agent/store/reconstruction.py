"""Reconstruction: what rows of a damaged file refer to, made again from what is left of it.

A device, a boot, or how far a stream was numbered may be in a page that is gone, or older than
the readings are. What they tell, and what the agent has numbered itself, counts then.
"""

import sqlite3

from .removal import CAUSES_AFTER_STORING

NEAR = 10_000  # numbers, that may be missing between two that belong together
RUNS_MAX = 1000  # of numbers of one boot, that are looked at

# What readings tell of each boot: first and last number of runs of them, and the channels.
Told = dict[int, tuple[list[list[int]], set[int]]]


def add_number(runs: list[list[int]], seq: int) -> None:
    """Note a number: in the last run if it is near its end, else as the beginning of another."""
    if runs and runs[-1][0] - NEAR <= seq <= runs[-1][1] + NEAR:
        runs[-1][0], runs[-1][1] = min(runs[-1][0], seq), max(runs[-1][1], seq)
    elif len(runs) < RUNS_MAX:
        runs.append([seq, seq])


def _end_of(runs: list[list[int]], next_seq: int) -> int:
    """Return behind which number a stream stood that is known to have had `next_seq`.

    A number that is far from all that are known is damage.
    """
    for first, last in sorted(runs):
        if first <= next_seq + NEAR:
            next_seq = max(next_seq, last + 1)
    return next_seq


def _sampled_here(tx: sqlite3.Connection, boot_id: int) -> list[list[int]]:
    """Return the run that a boot of the agent's has numbered itself: it stores all of them."""
    row = tx.execute(
        "SELECT sampled_total - denied_total FROM boot WHERE id = ? AND board = 'agent'",
        (boot_id,),
    ).fetchone()
    return [[row[0] - 1, row[0] - 1]] if row is not None and row[0] > 0 else []


def mend(tx: sqlite3.Connection, told: Told) -> None:
    """Give what is there what it refers to, so that its numbers stay its own.

    A device that is lost is called "damaged-" and its number; a boot that is lost has a
    number that no board has. Of a channel that is lost nothing is made up: what its readings
    mean isn't known any more, so they count as missing.
    """
    tx.executemany(
        "INSERT OR IGNORE INTO device (id, name, alias) VALUES (?1, 'damaged-' || ?1,"
        " 'damaged-' || ?1)",
        tx.execute("SELECT device_id FROM channel UNION SELECT device_id FROM boot").fetchall(),
    )
    known = {row[0] for row in tx.execute("SELECT id FROM boot")}
    counted = {row[0] for row in tx.execute("SELECT boot_id FROM stream")}
    for boot_id in sorted((told.keys() | counted) - known):
        _, channels = told.get(boot_id, ([], set()))
        tx.execute(
            "INSERT INTO boot (id, device_id, boot, first_seen_utc_ms, board, firmware,"
            " reset_cause) VALUES (?, ?, ?, 0, '', '', 'unknown')",
            (boot_id, _device_of(tx, channels), 2**32 + boot_id),
        )
    # A gap must be one of a stream.
    tx.execute(
        "DELETE FROM event WHERE boot_id NOT IN (SELECT id FROM boot)"
        " OR channel_id NOT IN (SELECT id FROM channel)"
    )
    tx.execute(
        "DELETE FROM gap WHERE boot_id NOT IN (SELECT id FROM boot) OR first_seq > last_seq"
    )
    for stream, table in ((0, "reading"), (1, "event")):
        for (boot_id,) in tx.execute("SELECT id FROM boot").fetchall():
            (known,) = tx.execute(
                "SELECT max(last_seq) FROM gap WHERE boot_id = ? AND stream = ?", (boot_id, stream)
            ).fetchone()
            (seq,) = tx.execute(
                f"SELECT max(seq) FROM {table} WHERE boot_id = ?", (boot_id,)
            ).fetchone()
            row = tx.execute(
                "SELECT next_seq FROM stream WHERE boot_id = ? AND stream = ?", (boot_id, stream)
            ).fetchone()
            runs = told[boot_id][0] if stream == 0 and boot_id in told else []
            if row is None:
                last = max(-1 if one is None else one for one in (known, seq))
                next_seq = max([last, *(end for _, end in runs)]) + 1
                statement = "INSERT INTO stream (next_seq, boot_id, stream) VALUES (?, ?, ?)"
            else:
                # Of a commit of which only some pages are left, this one may not be.
                if stream == 0:
                    runs = [*runs, *_sampled_here(tx, boot_id)]
                next_seq = _end_of(runs, row[0])
                statement = "UPDATE stream SET next_seq = ? WHERE boot_id = ? AND stream = ?"
            tx.execute(statement, (next_seq, boot_id, stream))
    tx.execute(
        "DELETE FROM gap WHERE last_seq >= (SELECT next_seq FROM stream"
        " WHERE stream.boot_id = gap.boot_id AND stream.stream = gap.stream)"
    )
    causes = ", ".join(f"'{cause}'" for cause in CAUSES_AFTER_STORING)
    tx.execute(
        "UPDATE gap SET count = CASE WHEN cause IN"
        f" ({causes}) THEN max(0, min(count, last_seq - first_seq + 1))"
        " ELSE last_seq - first_seq + 1 END"
    )


def _device_of(tx: sqlite3.Connection, channels: set[int]) -> int:
    """Return the device that has `channels`; a new one, if none is left that has."""
    marks = ",".join("?" * len(channels))
    (found,) = tx.execute(
        f"SELECT min(device_id) FROM channel WHERE id IN ({marks})", tuple(channels)
    ).fetchone()
    if found is None:
        found = tx.execute(
            "INSERT INTO device (id, name, alias) SELECT id, 'damaged-' || id, 'damaged-' || id"
            " FROM (SELECT coalesce(max(id), 0) + 1 AS id FROM device)"
        ).lastrowid
    assert isinstance(found, int)
    return found
