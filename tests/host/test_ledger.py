"""The ledger: balanced when all is well, and not when the file was tampered with."""

import json
import sqlite3

import pytest
from host.fakes import UTC_MS
from host.test_store import event_row, info, telemetry
from pyv_edge_agent.cli import main
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import BootInfo, EndedBoot, SQLiteStore, WriteBatch, read_ledger


@pytest.fixture
def path(tmp_path):
    """Return a store of 14 sampled readings: 5 stored, 2 + 1 denied, 3 aggregated, 2 lost.

    One is in flight. The board has denied one before it was numbered. Of two events
    one is of the board's stream; of 5 readings one was withheld from the sink.
    """
    store = SQLiteStore(tmp_path / "edge.db")
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, [1, 2, 3, 4, 5]))
    store.sinks.register("http")
    batch = WriteBatch()
    batch.stream(opened.boot_id, 0, 5).move(denied=2, lost=2)
    batch.stream(opened.boot_id, 0, 5).move(aggregated=3)
    batch.stream(opened.boot_id, 1, 0).move(stored=1)
    batch.gaps.append((opened.boot_id, 0, 7, 8, "overwritten", UTC_MS, 0))
    batch.vitals[opened.boot_id] = (14, 1, 2, 3, 0, True, UTC_MS)
    batch.items.append(("{}", 3, 0.0, 0))
    batch.events.append(event_row(opened, seq=0))
    batch.events.append(event_row(opened))
    store.commit(batch)
    store.sinks.acknowledge("http", store.sinks.next_batch("http", 3), withheld=1)
    store.close()
    return tmp_path / "edge.db"


def tamper(path, statement):
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


REPEAT_A_ROW = (
    "INSERT INTO reading (channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value)"
    " SELECT channel_id, boot_id, stream, seq, utc_ms, error_ms, quality, value"
    " FROM reading WHERE seq = 1"
)


def test_ledger_accounts_for_every_number(path):
    ledger = read_ledger(path)
    assert ledger.is_balanced
    boot, events = ledger.boots
    assert vars(boot) == {
        "device": "board-1",
        "boot": "abcd1234",
        "stream": "telemetry",
        "late": 3,
        "sampled": 14,
        "stored": 5,
        "present": 5,
        "expired": 0,
        "evicted": 0,
        "denied": 3,
        "aggregated": 3,
        "lost": 2,
        "reset": 0,
        "in_flight": 1,
        "duplicates": 0,
        "is_finished": True,
        "is_end_known": True,
        "is_balanced": True,
    }
    assert vars(events) == {
        **dict.fromkeys(
            ("denied", "aggregated", "lost", "reset", "in_flight", "duplicates", "late"), 0
        ),
        "device": "board-1",
        "boot": "abcd1234",
        "stream": "events",
        "sampled": 1,
        "stored": 1,
        "present": 1,
        "expired": 0,
        "evicted": 0,
        "is_finished": True,
        "is_end_known": True,
        "is_balanced": True,
    }
    (sink,) = ledger.sinks
    assert vars(sink) == {
        "name": "http",
        "acknowledged": 2,
        "withheld": 1,
        "dead": 0,
        "evicted": 0,
        "missed": 0,
        "pending": 2,
        "is_balanced": True,
    }
    assert (ledger.events, ledger.gaps, ledger.items) == (2, 1, 2)


def test_what_a_board_had_not_sent_when_it_booted_anew_is_gone(path):
    store = SQLiteStore(path)
    info = BootInfo("board-1", "porch", 0x11112222, "fake", "1.0", "watchdog", ())
    store.open_boot(info, UTC_MS)
    store.open_boot(BootInfo("board-2", "shed", 0x33334444, "fake", "1.0", "power", ()), UTC_MS)
    store.close()
    ledger = read_ledger(path)
    assert ledger.is_balanced
    before, after = [one for one in ledger.boots if one.device == "board-1"][::2]
    assert (before.boot, before.reset, before.in_flight) == ("abcd1234", 1, 0)
    assert (after.boot, after.reset, after.in_flight) == ("11112222", 0, 0)


def boot_info(boot, ended=None, device="board-1"):
    return BootInfo(device, "porch", boot, "fake", "1.0", "soft", (), ended)


def boots_of(path, *greeted):
    """Return the ledger's accounts of readings by boot, after these greetings."""
    store = SQLiteStore(path)
    for one in greeted:
        store.open_boot(one, UTC_MS)
    store.close()
    ledger = read_ledger(path)
    assert ledger.is_balanced
    return {one.boot: one for one in ledger.boots if one.stream == "telemetry"}


def test_next_boot_says_what_one_that_ended_on_purpose_had_sampled(path):
    tamper(path, "UPDATE boot SET is_finished = 0")
    ended = EndedBoot(0xABCD1234, 848, 5)
    again = [boot_info(0x11112222, ended)] * 3  # greetings repeat
    found = boots_of(path, *again)["abcd1234"]
    # Denied by the board, not by the host's policy: 5; the host has denied 2 more.
    assert (found.sampled, found.denied, found.reset) == (848, 7, 848 - 5 - 12)
    assert found.is_end_known
    parts = (found.stored, found.denied, found.aggregated, found.lost, found.reset)
    assert found.sampled == sum(parts)


def test_late_greeting_takes_no_count_back(path):
    found = boots_of(path, boot_info(0x11112222, EndedBoot(0xABCD1234, 9, 0)))["abcd1234"]
    assert (found.sampled, found.reset) == (14, 1)


def test_what_a_boot_left_on_the_flash_is_no_longer_gone_once_it_has_come(path):
    found = boots_of(path, boot_info(0x11112222, EndedBoot(0xABCD1234, 20, 1)))["abcd1234"]
    assert found.reset == 7
    store = SQLiteStore(path)
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 12, [1, 2, 3]))
    store.close()
    found = boots_of(path)["abcd1234"]
    assert (found.sampled, found.stored, found.reset) == (20, 8, 4)


def test_other_devices_boots_of_that_number_are_left_alone(path):
    other = boot_info(0x11112222, EndedBoot(0xABCD1234, 848, 0), device="board-2")
    found = boots_of(path, other)
    assert found["abcd1234"].sampled == 14
    assert sorted(found) == ["11112222", "abcd1234"]  # what board-2 did elsewhere is not ours


def test_boot_that_nobody_has_heard_is_in_the_ledger(path, log):
    last = boot_info(0x33334444, EndedBoot(0x22223333, 848, 8))
    found = boots_of(path, last, last)
    unheard = found["22223333"]
    assert (unheard.sampled, unheard.denied, unheard.reset, unheard.stored) == (848, 8, 840, 0)
    assert unheard.is_end_known
    assert found["33334444"].in_flight == 0
    assert log.having("was never heard") == [
        "device porch: boot 22223333 sampled 848 readings and was never heard (boot_id 2)"
    ]


def test_boot_that_nobody_has_heard_and_that_sampled_nothing_is_none(path):
    found = boots_of(path, boot_info(0x33334444, EndedBoot(0x22223333, 0, 0)))
    assert sorted(found) == ["33334444", "abcd1234"]


def test_present_boot_makes_none_before_it(path):
    """The store has lost a boot's row, or a board says something else than before."""
    present = boot_info(0x33334444)
    told = boot_info(0x33334444, EndedBoot(0x22223333, 848, 8))
    assert sorted(boots_of(path, present, told)) == ["33334444", "abcd1234"]


def test_how_a_boot_ended_is_not_known_unless_it_was_said(path, capsys):
    tamper(path, "UPDATE boot SET is_finished = 0")
    assert boots_of(path)["abcd1234"].is_end_known  # it goes on
    assert main(["ledger", "--db", str(path)]) == 0
    assert "not known" not in capsys.readouterr().out
    found = boots_of(path, boot_info(0x11112222))
    assert not found["abcd1234"].is_end_known
    assert found["11112222"].is_end_known
    assert main(["ledger", "--db", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ", 1)[0].split()[1] for line in lines if "it ended is" in line][:1] == [
        "abcd1234"
    ]
    assert "may have gone with its memory" in "".join(lines)
    # It is told later: by the boot after next, which had been stopped before it could greet.
    found = boots_of(path, boot_info(0x22223333, EndedBoot(0xABCD1234, 14, 1)))
    assert found["abcd1234"].is_end_known
    assert not found["11112222"].is_end_known


def test_boots_of_the_agent_itself_end_as_they_stand(path):
    own = [BootInfo("t1", "t1", boot, "agent", "1.0", "start", ()) for boot in (7, 8)]
    found = boots_of(path, *own)
    assert found["00000007"].is_end_known and found["00000008"].is_end_known


def test_ledger_as_json_types(path):
    told = json.loads(json.dumps(read_ledger(path).to_dict()))
    assert told["balanced"] is True
    assert told["sampled"] == sum(
        told[name] for name in ("stored", "denied", "aggregated", "lost", "reset", "in_flight")
    )
    for sink in told["sinks"]:
        assert told["stored"] == sum(
            sink[name]
            for name in ("acknowledged", "withheld", "dead", "evicted", "missed", "pending")
        )
    assert (told["sampled"], told["stored"], told["withheld"]) == (14, 5, 1)  # events are extra
    assert told["queued_items"] == 2  # the gap is one
    assert told["boots"][0]["device"] == "board-1"


def test_empty_store_balances(tmp_path):
    SQLiteStore(tmp_path / "edge.db").close()
    ledger = read_ledger(tmp_path / "edge.db")
    assert ledger.is_balanced
    assert ledger.boots == []
    assert ledger.total("stored") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM reading WHERE seq = 2",
        "DELETE FROM reading WHERE seq = 4",
        REPEAT_A_ROW,
        "UPDATE reading SET seq = 0 WHERE seq = 1",
        "DELETE FROM gap",
        "UPDATE gap SET last_seq = 9",
        "UPDATE gap SET count = 3",
        "UPDATE stream SET expired_total = 1 WHERE stream = 0",
        "UPDATE stream SET evicted_total = 1 WHERE stream = 0",
        "UPDATE gap SET cause = 'evicted'",
        "UPDATE stream SET next_seq = next_seq + 1 WHERE stream = 0",
        "UPDATE stream SET denied_total = 1 WHERE stream = 0",
        "UPDATE stream SET lost_total = 3 WHERE stream = 0",
        "UPDATE stream SET stored_total = 4 WHERE stream = 0",
        "UPDATE stream SET aggregated_total = 2 WHERE stream = 0",
    ],
)
def test_ledger_notices_what_is_wrong_with_a_boot(path, statement):
    tamper(path, statement)
    ledger = read_ledger(path)
    assert not ledger.boots[0].is_balanced
    assert not ledger.is_balanced


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sink SET cursor = 4",
        "UPDATE sink SET cursor = 2",
        "UPDATE sink SET cursor = 99",
        "UPDATE sink SET acknowledged_total = 4",
        "UPDATE sink SET withheld_total = 0",
        "UPDATE sink SET cursor = 99, acknowledged_total = 5",
        "UPDATE sink SET dead_total = 1",
        "UPDATE sink SET evicted_total = 1",
        "UPDATE sink SET missed_total = 1",
        "DELETE FROM reading WHERE seq = 4",
    ],
)
def test_ledger_notices_what_is_wrong_with_a_sink(path, statement):
    tamper(path, statement)
    ledger = read_ledger(path)
    assert not ledger.sinks[0].is_balanced
    assert not ledger.is_balanced


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM event WHERE seq = 0",
        "UPDATE event SET seq = NULL",
        "UPDATE event SET seq = 0",
        "UPDATE stream SET next_seq = 2 WHERE stream = 1",
    ],
)
def test_ledger_notices_what_is_wrong_with_a_boards_events(path, statement):
    tamper(path, statement)
    ledger = read_ledger(path)
    assert [boot.is_balanced for boot in ledger.boots] == [True, False]
    assert not ledger.is_balanced


def test_duplicates_are_counted(path):
    tamper(path, "UPDATE reading SET seq = 0 WHERE seq = 1")
    assert read_ledger(path).boots[0].duplicates == 1


def test_ledger_of_what_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        read_ledger(tmp_path / "absent.db")
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(StoreError, match="is not a store of this program"):
        read_ledger(tmp_path / "empty.db")
    (tmp_path / "text.db").write_text("no database at all " * 50)
    with pytest.raises(StoreError, match="not a database"):
        read_ledger(tmp_path / "text.db")


def test_ledger_leaves_the_store_as_it_was(path):
    before = path.read_bytes()
    read_ledger(path)
    assert path.read_bytes() == before


def test_command_says_whether_it_balances(path, capsys):
    assert main(["ledger", "--db", str(path)]) == 0
    head, readings, events, sink, counts = capsys.readouterr().out.splitlines()
    columns = dict(zip(head.split()[2:], readings.split()[2:9], strict=True))
    assert columns == {
        "sampled": "14",
        "stored": "5",
        "denied": "3",
        "aggregated": "3",
        "lost": "2",
        "reset": "0",
        "in_flight": "1",
    }
    assert readings.endswith("balances, 3 measurements missed")
    assert events.split()[2:] == ["1", "1", "0", "0", "0", "0", "0", "balances", "(events)"]
    assert sink == (
        "sink http: 2 acknowledged, 1 withheld, 0 dead, 0 evicted, 0 missed, 2 pending  balances"
    )
    assert counts == "2 events, 1 gaps, 2 queued items"
    tamper(path, "DELETE FROM reading WHERE seq = 2")
    assert main(["ledger", "--db", str(path)]) == 1
    assert "DOES NOT BALANCE" in capsys.readouterr().out
    assert main(["ledger", "--db", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["balanced"] is False


def test_command_refuses_a_store_that_is_not_there(tmp_path, capsys):
    assert main(["ledger", "--db", str(tmp_path / "absent.db")]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no store" in line


def test_command_finds_the_store_through_the_config(path, write_config, capsys):
    assert main(["ledger", "--config", write_config()]) == 0
    assert "board-1" in capsys.readouterr().out


def test_command_refuses_a_bad_config(tmp_path, capsys):
    assert main(["ledger", "--config", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml" in capsys.readouterr().err
