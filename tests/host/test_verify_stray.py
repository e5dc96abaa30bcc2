"""Readings that are in no block: found between the blocks, whatever somebody made of those."""

import sqlite3

import pytest
from host.store_rig import StoreRig
from pyv_edge_agent.store import verify

# As the definition has it, at a cost that grows with the square of a store's size.
BY_DEFINITION = """
SELECT min(id) FROM reading WHERE id <= (SELECT max(last_id) FROM block)
AND NOT EXISTS (SELECT 1 FROM block WHERE reading.id BETWEEN first_id AND last_id)
"""
COLUMNS = "channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value"


@pytest.fixture
def path(tmp_path):
    """Return the store of four blocks of 25 readings, and 7 that are in none yet."""
    rig = StoreRig(tmp_path / "edge.db")
    for _ in range(4):
        rig.add(25)
        assert rig.upkeep.blocks.seal()
    rig.add(7)
    rig.close()
    return rig.path


@pytest.mark.parametrize(
    ("statement", "stray"),
    [
        ("UPDATE block SET count = count", None),
        ("DELETE FROM block WHERE id = 2", 26),
        ("DELETE FROM block WHERE id = 1", 1),
        ("DELETE FROM block WHERE id = 4", None),  # they are as those that are not sealed yet
        ("UPDATE block SET last_id = 99 WHERE id = 4", None),
        ("UPDATE block SET last_id = 24 WHERE id = 1", 25),
        ("UPDATE block SET first_id = 5 WHERE id = 1", 1),
        ("UPDATE block SET first_id = 1 WHERE id = 4", None),
        ("UPDATE block SET last_id = 60 WHERE id = 1", None),
        ("UPDATE block SET first_id = 90, last_id = 30 WHERE id = 3", 51),
        (f"UPDATE block SET last_id = {2**63 - 1} WHERE id = 4", None),
        (f"UPDATE block SET first_id = {-(2**63)}, last_id = 3 WHERE id = 1", 4),
        (f"INSERT INTO reading SELECT -3, {COLUMNS} FROM reading WHERE id = 1", -3),
        (f"INSERT INTO reading SELECT {-(2**63)}, {COLUMNS} FROM reading WHERE id = 1", -(2**63)),
    ],
)
def test_stray_reading_is_named(path, statement, stray):
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement).rowcount > 0
    assert connection.execute(BY_DEFINITION).fetchone() == (stray,)
    connection.close()
    found = [one for one in verify(path).problems if "belongs to no block" in one]
    assert found == ([] if stray is None else [f"reading {stray}: belongs to no block"])
