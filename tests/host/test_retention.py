"""Retention: what is old goes, provided that the sinks have it and the clock is to be believed."""

import pytest
from host.store_rig import DAY_MS, StoreRig
from pyv_edge_agent.store.retention import HOLD_MS

KEEP = {"keep_days": 10.0}


@pytest.fixture
def make(tmp_path):
    rigs = []

    def build(policies=None, sink=True):
        rigs.append(StoreRig(tmp_path / f"{len(rigs)}.db", policies))
        if sink:
            rigs[-1].store.sinks.register("http")
        return rigs[-1]

    yield build
    for rig in rigs:
        rig.close()


def age(rig, days):
    """Let days go by, so that none of them looks like a clock that was set."""
    for _ in range(days):
        rig.clock.advance(DAY_MS)
        rig.minute()


def test_old_readings_go_and_are_counted(make):
    rig = make(KEEP)
    rig.add(100, step_ms=10)
    rig.minute()
    rig.send_all()
    age(rig, 11)
    ledger = rig.ledger()
    assert (ledger.total("stored"), ledger.total("expired"), ledger.total("present")) == (
        100,
        100,
        0,
    )
    assert rig.rows("SELECT count(*) FROM gap") == [(0,)]
    assert rig.upkeep.retention.expired_total == 100
    assert rig.verdict().fits


def test_ids_go_on_when_everything_has_expired(make):
    rig = make(KEEP)
    rig.add(10, step_ms=0)
    rig.send_all()
    age(rig, 12)
    assert rig.rows("SELECT count(*) FROM reading") == [(0,)]
    rig.reopen()
    rig.store.sinks.register("http")
    rig.add(1)
    assert rig.rows("SELECT id FROM reading") == [(11,)]
    assert rig.send_all() == 1
    assert rig.ledger().sinks[0].acknowledged == 11


def test_unsent_readings_do_not_expire_by_age(make):
    rig = make(KEEP)
    rig.add(100, step_ms=10)
    age(rig, 30)
    assert rig.ledger().total("present") == 100
    rig.send_all()
    age(rig, 1)
    assert rig.ledger().total("present") == 0


def test_without_a_sink_age_is_enough(make):
    rig = make(KEEP, sink=False)
    rig.add(10, step_ms=0)
    age(rig, 11)
    assert rig.ledger().total("expired") == 10


def test_each_channel_is_kept_as_long_as_its_policy_says(make):
    rig = make(
        {
            "keep_days": 20.0,
            "channels": [
                {"match": "porch.temp", "keep_days": 5},
                {"match": "porch.c*", "keep_days": 0},
            ],
        }
    )
    rig.mixed(30, step_ms=0)
    rig.send_all()
    age(rig, 6)
    assert rig.rows("SELECT DISTINCT sensor FROM readings ORDER BY 1") == [
        ("porch.count",),
        ("porch.power",),
    ]
    assert rig.verdict().fits
    age(rig, 20)
    assert rig.rows("SELECT DISTINCT sensor FROM readings") == [("porch.count",)]
    assert rig.verdict().fits
    rig.ledger()


def test_change_of_policy_holds_for_what_is_there(make):
    from pyv_edge_agent.channel_policy import ChannelPolicies

    rig = make()
    rig.add(10, step_ms=0)
    rig.send_all()
    age(rig, 11)
    assert rig.ledger().total("present") == 10
    rig.store.apply_policies(ChannelPolicies(KEEP))
    rig.minute()
    assert rig.ledger().total("present") == 0


@pytest.mark.parametrize("years", [1, -1])
def test_clock_that_jumps_a_year_empties_nothing(make, years):
    rig = make(KEEP)
    rig.add(100, step_ms=10)
    rig.send_all()
    rig.minute()
    rig.clock.step(years * 365 * DAY_MS)
    rig.minute(jumps_total=1)
    assert rig.ledger().total("present") == 100
    assert rig.upkeep.retention.is_held
    assert rig.upkeep.status()["is_retention_held"]
    rig.reopen(is_crash=True)
    rig.minute()
    assert rig.ledger().total("present") == 100
    rig.clock.step(-years * 365 * DAY_MS)
    rig.clock.advance(HOLD_MS)
    rig.minute()
    assert not rig.upkeep.retention.is_held
    assert rig.ledger().total("present") == 100


def test_clock_that_is_a_year_ahead_at_the_start_empties_nothing_at_once(make):
    rig = make(KEEP)
    rig.add(100, step_ms=10)
    rig.send_all()
    rig.minute()
    rig.upkeep.blocks.seal()
    rig.close()
    rig.clock.step(365 * DAY_MS)
    rig.open()
    rig.minute()
    assert rig.ledger().total("present") == 100
    rig.clock.advance(HOLD_MS)  # a box that was in a drawer for a year: its readings are old
    rig.minute()
    assert rig.ledger().total("present") == 0


def test_nothing_expires_while_the_clock_is_not_known_to_be_right(make):
    rig = make(KEEP)
    rig.add(10, step_ms=0)
    rig.send_all()
    rig.upkeep.blocks.seal()
    for _ in range(12):
        rig.clock.advance(DAY_MS)
        rig.minute(is_time_right=False)
    assert rig.ledger().total("present") == 10


def test_reading_whose_time_is_unset_has_no_age(make):
    rig = make(KEEP)
    rig.add(5, step_ms=0, quality=1 << 2)  # unset
    rig.add(5, step_ms=0)
    rig.send_all()
    age(rig, 12)
    assert rig.rows("SELECT DISTINCT quality >> 2 FROM reading") == [(1,)]
    assert rig.verdict().fits


def test_summaries_and_events_expire_too(make):
    from host.test_store import event_row
    from pyv_edge_agent.store import WriteBatch

    rig = make({"summary_keep_days": 5.0, "event_keep_days": 5.0})
    batch = WriteBatch()
    batch.stream(rig.opened.boot_id, 1, 0).move(stored=1)
    row = event_row(rig.opened, seq=0)
    batch.events.append((*row[:6], rig.clock.utc_ms(), *row[7:]))
    rig.store.commit(batch)
    rig.add(10, step_ms=0)
    age(rig, 2)
    assert rig.rows("SELECT count(*) > 0 FROM summary") == [(1,)]
    assert rig.rows("SELECT count(*) FROM event") == [(1,)]
    age(rig, 5)
    assert rig.rows("SELECT count(*) FROM summary") == [(0,)]
    assert rig.rows("SELECT count(*) FROM event") == [(0,)]
    assert rig.ledger().total("present") == 10


def test_change_is_not_covered_up_by_a_removal(make):
    rig = make({"channels": [{"match": "porch.temp", "keep_days": 5}]})
    rig.mixed(30, step_ms=0)
    rig.send_all()
    rig.upkeep.blocks.seal()
    with rig.store.transaction() as tx:
        tx.execute("UPDATE reading SET value = 999 WHERE id = 2")
    age(rig, 7)
    assert rig.rows("SELECT count(*) FROM reading") == [(20,)]
    (problem,) = rig.verdict().problems
    assert "is not as it was sealed" in problem
    assert "since before some were removed" in problem


def test_freed_disk_is_given_back_in_steps(make):
    rig = make(KEEP)
    for _ in range(20):
        rig.add(4096, step_ms=0)
        rig.keep_up()
    rig.send_all(count=10_000)
    before = rig.upkeep.status()
    age(rig, 12)
    after = rig.upkeep.status()
    assert after["size_bytes"] < before["size_bytes"] / 2
    rig.ledger()
