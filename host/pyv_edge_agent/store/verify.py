"""Verification of a store: whether audit log and readings are what they were.

Found are: a changed, missing or added row of the audit log; a channel that names something
else than it did; a changed, missing or added reading of a sealed block; a block that does
not follow the one before; a removal that the audit log doesn't know. What nobody can find in the
file alone is a chain that was made anew as a whole, or cut off at its end: compare with a
checkpoint that a sink has.
"""

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from . import block
from .audit import GENESIS, row_hash
from .boot import channel_facts
from .connection import connect_reader, store_error

PROBLEMS_MAX = 20  # a file that was made anew does not fit anywhere

_BLOCKS = """
SELECT id, first_id, last_id, count, removed, digest, chain, left_digest FROM block ORDER BY id
"""
_CHANNELS = """
SELECT id, device_id, name, sensor_name, unit, exponent, privacy FROM channel ORDER BY id
"""
_STRETCHES = "SELECT first_id, last_id FROM block ORDER BY first_id"
_STRAY = "SELECT min(id) FROM reading WHERE id >= ? AND id < ?"
_ID_MIN = -(2**63)  # of SQLite


@dataclass
class Verdict:
    """What a verification has found; in the order in which it was found."""

    problems: list[str] = field(default_factory=list)
    audit_rows: int = 0
    blocks: int = 0
    readings: int = 0  # in sealed blocks, as they were
    unsealed: int = 0  # readings that nothing covers yet
    head: str = ""  # hash of the last row of the audit log

    @property
    def fits(self) -> bool:
        """Whether everything is as it was."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as JSON types."""
        return {**vars(self), "fits": self.fits}


def verify(path: str | Path, checkpoint: tuple[int, str] | None = None) -> Verdict:
    """Verify the store at `path`, also against a row's id and hash that a sink was told.

    Reads every reading. Raises StoreError if the file can't be read.
    """
    place = Path(path)
    connection = connect_reader(place)
    verdict = Verdict()
    try:
        connection.execute("BEGIN")
        facts = _audit(connection, verdict, checkpoint)
        _channels(connection, verdict, facts)
        _readings(connection, verdict, facts)
    except sqlite3.Error as error:
        raise store_error(place, error) from error
    finally:
        connection.close()
    return verdict


@dataclass
class _Facts:
    """What the audit log says of the rest."""

    channels: dict[int, dict[str, Any]] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)  # chain by last block of a day
    removed: dict[int, int] = field(default_factory=dict)  # readings by block
    unfit: set[int] = field(default_factory=set)  # blocks that did not fit when some went


def _audit(
    connection: sqlite3.Connection, verdict: Verdict, checkpoint: tuple[int, str] | None
) -> _Facts:
    facts = _Facts()
    before, expected_id = GENESIS, 1
    hashes: dict[int, str] = {}
    for row_id, utc_ms, action, text, saved in connection.execute(
        "SELECT id, utc_ms, action, details, hash FROM audit ORDER BY id"
    ):
        verdict.audit_rows += 1
        if row_id != expected_id:
            verdict.problems.append(f"audit row {expected_id}: is missing")
        try:
            details = json.loads(text)
            made = row_hash(row_id, utc_ms, action, details, before)
        except (ValueError, TypeError):
            details, made = {}, ""
        if made != saved:
            verdict.problems.append(f"audit row {row_id} ({action}): does not fit its hash")
            if len(verdict.problems) > PROBLEMS_MAX:
                break
        before, expected_id = saved, row_id + 1
        if checkpoint is not None and row_id == checkpoint[0]:
            hashes[row_id] = saved
        _learn(facts, action, details)
    verdict.head = before
    if checkpoint is not None and hashes.get(checkpoint[0]) != checkpoint[1]:
        problem = "is not the one of the checkpoint: the log was made anew"
        if checkpoint[0] >= expected_id:
            problem = f"is not there: the log ends at {expected_id - 1}, and was cut off"
        verdict.problems.append(f"audit row {checkpoint[0]}: {problem}, or is another store's")
    return facts


def _learn(facts: _Facts, action: str, details: Any) -> None:
    if not isinstance(details, dict):
        return
    if action == "channel_added":
        facts.channels[details.get("channel_id", 0)] = details
    elif action == "day_sealed":
        facts.ends[details.get("last_block", 0)] = details.get("chain", "")
    elif action == "readings_removed":
        block_id = details.get("block", 0)
        facts.removed[block_id] = facts.removed.get(block_id, 0) + details.get("readings", 0)
        if details.get("fits") is False:
            facts.unfit.add(block_id)
    elif action == "salvaged":  # the rest of the log is about a file that is not this one
        facts.channels.clear()
        facts.ends.clear()
        facts.removed.clear()
        for told in details.get("channels", ()):
            facts.channels[told.get("channel_id", 0)] = told


def _channels(connection: sqlite3.Connection, verdict: Verdict, facts: _Facts) -> None:
    for row in connection.execute(_CHANNELS):
        told = facts.channels.get(row[0])
        if told is not None and told != channel_facts(*row):
            verdict.problems.append(f"channel {row[0]} ({row[3]}): is not what it was")


def _readings(connection: sqlite3.Connection, verdict: Verdict, facts: _Facts) -> None:
    before: tuple[int, bytes] | None = None
    for row in connection.execute(_BLOCKS).fetchall():
        if len(verdict.problems) > PROBLEMS_MAX:
            return
        block_id, first_id, last_id, count, removed, digest, chain, left = row
        verdict.blocks += 1
        place = f"block {block_id} (readings {first_id} to {last_id})"
        if before is not None and block_id != before[0] + 1:
            missing = range(before[0] + 1, block_id)
            if not all(facts.removed.get(one) for one in missing):
                verdict.problems.append(f"block {before[0] + 1}: is missing")
            before = None
        follows = before[1] if before else (block.FIRST_CHAIN if block_id == 1 else None)
        if follows is not None and block.next_chain(follows, digest) != chain:
            verdict.problems.append(f"{place}: does not follow the block before")
        if block_id in facts.ends and facts.ends[block_id] != chain.hex():
            verdict.problems.append(f"{place}: is not the one that its day was sealed with")
        before = (block_id, chain)
        if removed != facts.removed.get(block_id, 0):
            verdict.problems.append(f"{place}: {removed} removed, which the audit log doesn't say")
        made, found = block.digest(connection, first_id, last_id)
        if made != (digest if left is None else left) or found != count - removed:
            when = ", since before some were removed" if left == block.UNFIT else ""
            verdict.problems.append(
                f"{place}: is not as it was sealed: {found} readings of {count - removed}{when}"
            )
        verdict.readings += found
    stray = _stray(connection)
    if stray is not None:
        verdict.problems.append(f"reading {stray}: belongs to no block")
    (verdict.unsealed,) = connection.execute(
        "SELECT count(*) FROM reading WHERE id > (SELECT coalesce(max(last_id), 0) FROM block)"
    ).fetchone()


def _stray(connection: sqlite3.Connection) -> int | None:
    """Return the first reading before the end of the blocks that is in none of them.

    It is looked for between them: to look for the block of each reading would take a time that
    grows with the square of their number, five seconds for a million.
    """
    at = _ID_MIN
    for first_id, last_id in connection.execute(_STRETCHES).fetchall():
        if at < first_id:
            (stray,) = connection.execute(_STRAY, (at, first_id)).fetchone()
            if stray is not None:
                return int(stray)
        at = max(at, last_id + 1)
    return None


def parse_checkpoint(text: str) -> tuple[int, str]:
    """Return the id and the hash of "ID:HASH". Raises UsageError for anything else."""
    row_id, _, saved = text.partition(":")
    if not row_id.isdecimal() or len(saved) != len(GENESIS):
        raise UsageError(
            f"--checkpoint: {text!r} is not ID:HASH, as audit_id and hash of a checkpoint"
        )
    return int(row_id), saved.lower()
