"""Blocks, the audit log and what `audit verify` finds."""

import json
import sqlite3

import pytest
from host.store_rig import StoreRig
from pyv_edge_agent.cli import main
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import list_audit, parse_checkpoint, verify


@pytest.fixture
def rig(tmp_path):
    made = StoreRig(tmp_path / "edge.db")
    yield made
    made.close()


def tamper(path, statement):
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


def sealed(rig, blocks=3):
    """Seal so many blocks of 100 readings; a few readings stay without a seal."""
    for _ in range(blocks):
        rig.add(100)
        assert rig.upkeep.blocks.seal()
    rig.add(7)


# -- seals -------------------------------------------------------------------------


def test_full_block_is_sealed_by_itself(rig):
    rig.add(4095, step_ms=100)
    rig.keep_up()
    assert rig.rows("SELECT count(*) FROM block") == [(0,)]
    rig.add(4097, step_ms=100)
    rig.keep_up()
    assert rig.rows("SELECT first_id, last_id, count FROM block") == [
        (1, 4096, 4096),
        (4097, 8192, 4096),
    ]
    verdict = rig.verdict()
    assert verdict.fits
    assert (verdict.blocks, verdict.readings, verdict.unsealed) == (2, 8192, 0)


def test_day_is_sealed_at_its_end_and_its_chain_is_in_the_audit_log(rig):
    rig.add(50, step_ms=0)
    rig.minute()
    rig.clock.advance(86_400_000)
    rig.minute()
    (day,) = [row for row in rig.store.audit_logs() if row["action"] == "day_sealed"]
    (block,) = rig.rows("SELECT id, last_id, hex(chain) FROM block")
    assert (day["details"]["last_block"], day["details"]["last_reading"]) == block[:2]
    assert day["details"]["chain"] == block[2].lower()
    (checkpoint,) = [item for item in rig.items() if item["type"] == "audit_checkpoint"]
    assert checkpoint["audit_id"] >= day["id"]
    assert rig.verdict().fits


def test_what_came_within_an_hour_is_sealed(rig):
    rig.add(50, step_ms=0)
    for _ in range(59):
        rig.minute(is_time_right=False)
    assert rig.verdict().unsealed == 50
    rig.minute(is_time_right=False)
    assert (rig.verdict().blocks, rig.verdict().unsealed) == (1, 0)


def test_what_came_is_sealed_when_the_agent_stops(rig):
    rig.add(50)
    rig.upkeep.close()
    assert (rig.verdict().blocks, rig.verdict().unsealed) == (1, 0)


def test_digest_of_a_day_covers_it_from_its_begin_also_if_the_agent_was_started_again(rig):
    rig.add(50, step_ms=0)
    rig.minute(is_time_right=False)  # before anybody knew which day it was
    rig.upkeep.close()
    for _ in range(2):
        rig.reopen(is_crash=True)
        rig.add(50, step_ms=0)
        rig.minute()
        rig.upkeep.close()
    rig.clock.advance(86_400_000)
    rig.minute()
    rig.reopen(is_crash=True)  # and it isn't said twice
    rig.add(50, step_ms=0)
    rig.minute()
    rig.clock.advance(86_400_000)
    rig.minute()
    days = [row["details"] for row in rig.store.audit_logs() if row["action"] == "day_sealed"]
    assert [(day["first_block"], day["last_block"]) for day in days] == [(1, 3), (4, 4)]


def test_day_that_ends_while_nobody_is_there_is_sealed_at_the_next_start(rig):
    rig.add(50, step_ms=0)
    rig.minute()
    rig.close()
    rig.clock.advance(86_400_000)
    rig.open()
    rig.minute()
    assert [row["action"] for row in rig.store.audit_logs()][-1] == "day_sealed"
    assert rig.verdict().unsealed == 0


def test_chain_goes_on_after_a_restart(rig):
    sealed(rig)
    rig.reopen(is_crash=True)
    sealed(rig)
    verdict = rig.verdict()
    assert (verdict.fits, verdict.blocks, verdict.readings) == (True, 6, 607)


# -- what verification finds -------------------------------------------------------

CHANGES = [
    ("UPDATE reading SET value = 5000 WHERE id = 150", "block 2 (readings 101 to 200): is not as"),
    ("UPDATE reading SET utc_ms = utc_ms + 1 WHERE id = 1", "block 1 (readings 1 to 100): is not"),
    ("UPDATE reading SET quality = 2 WHERE id = 300", "block 3 (readings 201 to 300): is not as"),
    ("UPDATE reading SET channel_id = 2 WHERE id = 99", "block 1 (readings 1 to 100): is not as"),
    ("UPDATE reading SET seq = 9999 WHERE id = 99", "block 1 (readings 1 to 100): is not as"),
    ("DELETE FROM reading WHERE id = 150", "block 2 (readings 101 to 200): is not as it was"),
    ("DELETE FROM block WHERE id = 2", "block 2: is missing"),
    ("UPDATE block SET digest = zeroblob(32) WHERE id = 2", "block 2 (readings 101 to 200): does"),
    ("UPDATE block SET removed = 1 WHERE id = 3", "block 3 (readings 201 to 300): 1 removed, wh"),
    ("UPDATE block SET last_id = 99 WHERE id = 1", "block 1 (readings 1 to 99): is not as it was"),
    ("UPDATE audit SET details = '{}' WHERE id = 2", "audit row 2 (channel_added): does not fit"),
    (
        "UPDATE audit SET utc_ms = 5 WHERE id = 1",
        "audit row 1 (boot_added): does not fit its hash",
    ),
    ("UPDATE audit SET action = 'x' WHERE id = 3", "audit row 3 (x): does not fit its hash"),
    ("UPDATE audit SET hash = 'a' WHERE id = 4", "audit row 4 (channel_added): does not fit its"),
    ("DELETE FROM audit WHERE id = 2", "audit row 2: is missing"),
    ("UPDATE channel SET sensor_name = 'x' WHERE id = 1", "channel 1 (x): is not what it was"),
    ("UPDATE channel SET exponent = 0 WHERE id = 1", "channel 1 (porch.temp): is not what it was"),
]


@pytest.mark.parametrize(("statement", "found"), CHANGES, ids=[one[0] for one in CHANGES])
def test_change_is_found_and_named(rig, statement, found, capsys):
    sealed(rig)
    rig.close()
    assert verify(rig.path).problems == []
    tamper(rig.path, statement)
    assert verify(rig.path).problems[0].startswith(found)
    assert main(["audit", "verify", "--db", str(rig.path)]) == 1
    assert capsys.readouterr().out.startswith(found)


def test_log_that_was_made_anew_is_found_by_a_checkpoint(rig, capsys):
    sealed(rig)
    rig.upkeep.checkpoint()
    (checkpoint,) = [item for item in rig.items() if item["type"] == "audit_checkpoint"]
    told = f"{checkpoint['audit_id']}:{checkpoint['hash']}"
    rig.store.audit.append("more", {})
    rig.close()
    assert verify(rig.path, parse_checkpoint(told)).fits
    command = ["audit", "verify", "--db", str(rig.path), "--checkpoint"]
    assert main([*command, told]) == 0
    assert main([*command, told[:-1] + "g"]) == 1
    assert "the log was made anew, or is another store's" in capsys.readouterr().out
    assert main([*command, f"999:{'0' * 64}"]) == 1
    shown = capsys.readouterr().out
    assert "audit row 999: is not there: the log ends at " in shown
    assert ", and was cut off, or is another store's" in shown
    # The end of the log is cut off, which nobody can see in the file alone.
    tamper(rig.path, f"DELETE FROM audit WHERE id >= {checkpoint['audit_id']}")
    assert verify(rig.path).fits
    assert not verify(rig.path, parse_checkpoint(told)).fits
    assert main([*command, "no"]) == 2
    assert "is not ID:HASH" in capsys.readouterr().err


def test_file_that_fits_nowhere_is_reported_briefly(rig):
    sealed(rig, blocks=40)
    rig.close()
    tamper(rig.path, "UPDATE reading SET value = value + 1")
    tamper(rig.path, "UPDATE block SET digest = zeroblob(32)")
    assert 20 < len(verify(rig.path).problems) < 30


def test_store_of_a_running_agent_can_be_verified(rig, capsys):
    sealed(rig)
    assert main(["audit", "verify", "--db", str(rig.path), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["fits"], verdict["readings"], verdict["unsealed"]) == (True, 300, 7)
    assert verdict["head"] == rig.store.audit.last_hash


# -- the log -----------------------------------------------------------------------


def test_log_is_listed(rig, capsys):
    rig.store.audit.append("looked", {"by": "me"})
    assert rig.store.audit_logs(limit=1)[0]["details"] == {"by": "me"}
    assert main(["audit", "list", "--db", str(rig.path), "--limit", "1"]) == 0
    assert capsys.readouterr().out.split()[2:] == ["looked", '{"by":', '"me"}']
    assert main(["audit", "list", "--db", str(rig.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["audit_logs"][-1]["action"] == "looked"
    with pytest.raises(SystemExit):
        main(["audit", "list", "--db", str(rig.path), "--limit", "0"])
    assert "'0' is no number of at least 1" in capsys.readouterr().err
    assert main(["audit", "list", "--db", str(rig.path), "--checkpoint", "1:00"]) == 2
    with pytest.raises(ValueError, match="limit"):
        list_audit(rig.path, 0)


def test_row_of_a_transaction_that_fails_is_not_in_the_chain(rig):
    def fail():
        with rig.store.transaction() as tx:
            rig.store.audit.write(tx, "lost", {})
            tx.execute("INSERT INTO no_such_table VALUES (1)")

    with pytest.raises(StoreError):
        fail()
    rig.store.audit.append("kept", {})
    assert [row["action"] for row in rig.store.audit_logs(limit=2)] == ["channel_added", "kept"]
    assert rig.verdict().fits


def test_several_rows_of_one_transaction_follow_one_another(rig):
    with rig.store.transaction() as tx:
        for number in range(3):
            rig.store.audit.write(tx, "step", {"n": number})
    assert rig.verdict().fits


def test_details_that_are_no_json_are_refused(rig):
    with pytest.raises((TypeError, ValueError)):
        rig.store.audit.append("odd", {"x": float("nan")})
    assert rig.verdict().fits


def test_checkpoint_is_queued_only_if_there_is_something_new(rig):
    rig.upkeep.checkpoint()
    rig.upkeep.checkpoint()
    assert [item["type"] for item in rig.items()] == ["audit_checkpoint"]
    for number in range(64):
        rig.store.audit.append("busy", {"n": number})
    rig.minute()
    assert [item["audit_id"] for item in rig.items()] == [4, 68]


def test_command_refuses_what_is_not_there(tmp_path, capsys):
    assert main(["audit", "verify", "--db", str(tmp_path / "no.db")]) == 3
    assert main(["audit", "verify", "--config", str(tmp_path / "no.toml")]) == 2
    assert "no such config file" in capsys.readouterr().err
