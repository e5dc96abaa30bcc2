"""Capacity: the store never takes more than it may, and what it gives up is on record."""

import sqlite3

import pytest
from host.fakes import UTC_MS
from host.store_rig import SMALL, StoreRig
from host.test_store import event_row
from pyv_edge_agent.store import Limits, WriteBatch

MEGABYTE = 1_048_576


@pytest.fixture
def make(tmp_path):
    rigs = []

    def build(policies=None, limits=SMALL, sink=True, free=None):
        rigs.append(StoreRig(tmp_path / f"{len(rigs)}.db", policies, limits, free))
        if sink:
            rigs[-1].store.sinks.register("http")
        return rigs[-1]

    yield build
    for rig in rigs:
        rig.close()


def fill(rig, batches=40, add=None):
    """Store much more than there is room for; return the largest that the store was."""
    largest = 0
    for _ in range(batches):
        (add or rig.mixed)(4096, step_ms=50)
        rig.minute()
        largest = max(largest, rig.upkeep.capacity.used_size())
    return largest


def sensors(rig):
    return dict(rig.rows("SELECT sensor, count(*) FROM readings GROUP BY sensor"))


def test_file_and_wal_stay_below_the_cap(make):
    rig = make()
    fill(rig)
    size = sum(
        one.stat().st_size for one in rig.path.parent.glob("0.db*") if "reserve" not in one.name
    )
    assert size <= SMALL.max_size
    ledger = rig.ledger()
    assert ledger.total("stored") == 40 * 4096
    assert 0 < ledger.total("evicted") == rig.upkeep.capacity.evicted_total
    assert ledger.sinks[0].evicted == ledger.total("evicted")
    assert rig.upkeep.capacity.state == "ok"
    assert rig.verdict().fits


def test_newest_readings_stay(make):
    rig = make()
    fill(rig)
    ((newest, oldest),) = rig.rows("SELECT max(seq), min(seq) FROM reading WHERE id > 1000")
    assert newest == 40 * 4096 - 1
    assert oldest > 20 * 4096


def test_eviction_is_told_to_the_sinks_once_it_is_over(make):
    rig = make()
    fill(rig)
    gaps = [item for item in rig.store.items.due("http", 1000) if item["payload"]["type"] == "gap"]
    told = [one["payload"] for one in gaps]
    assert {one["cause"] for one in told} == {"evicted"}
    assert sum(one["count"] for one in told) == rig.ledger().total("evicted")
    assert rig.rows("SELECT sum(is_queued = 0) FROM gap") == [(0,)]


def test_bulk_goes_before_telemetry_and_that_before_events(make):
    rig = make(
        {
            "channels": [
                {"match": "porch.temp", "class": "event"},
                {"match": "porch.power", "class": "bulk"},
            ]
        }
    )
    fill(rig, batches=20)
    found = sensors(rig)
    assert found["porch.temp"] == sum(1 for turn in range(4096) if turn % 3 == 0) * 20
    assert found.get("porch.power", 0) < found["porch.count"]
    assert rig.verdict().fits
    rig.ledger()


def test_bulk_is_thinned_before_it_is_dropped_if_the_policy_says_so(make):
    rig = make(
        {
            "on_full_bulk": "downsample_oldest",
            "channels": [{"match": "porch.power", "class": "bulk"}],
        }
    )
    causes = {}
    while "thinned" not in causes:
        fill(rig, batches=1)
        causes = dict(rig.rows("SELECT cause, sum(count) FROM gap GROUP BY cause"))
    assert "evicted" not in causes
    minutes = rig.rows(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM reading JOIN channel ON"
        " channel.id = channel_id JOIN block ON reading.id BETWEEN first_id AND last_id"
        " WHERE class = 2 AND is_thinned AND block.id > 1 GROUP BY block.id, utc_ms / 60000)"
    )
    assert minutes == [(1,)]
    assert rig.verdict().fits
    rig.ledger()


def test_class_that_rejects_keeps_the_old_and_refuses_the_new(make):
    rig = make({"on_full_telemetry": "reject_new", "summary_keep_days": 0.001})
    largest = 0
    for _ in range(30):
        rig.add(4096, step_ms=50, refuse=True)
        rig.minute()
        largest = max(largest, rig.upkeep.capacity.used_size())
    assert rig.upkeep.capacity.rejected_total > 0
    assert rig.rows("SELECT min(seq) FROM reading") == [(0,)]
    causes = dict(rig.rows("SELECT cause, sum(count) FROM gap GROUP BY cause"))
    assert causes == {"rejected": rig.upkeep.capacity.rejected_total}
    assert largest < SMALL.max_size
    ledger = rig.ledger()
    assert ledger.total("lost") == rig.upkeep.capacity.rejected_total
    assert ledger.total("evicted") == 0


def test_chain_goes_on_if_the_last_block_is_gone_and_older_ones_are_not(make):
    rig = make({"channels": [{"match": "porch.power", "class": "bulk"}]}, sink=False)
    rig.add(100, channel=0)
    rig.upkeep.blocks.seal()
    rig.add(100, channel=2)
    rig.upkeep.blocks.seal()
    rig.upkeep.disk_is_full()
    assert rig.upkeep.capacity.step()
    assert rig.rows("SELECT id FROM block") == [(1,)]
    rig.reopen(is_crash=True)
    rig.add(100)
    rig.upkeep.blocks.seal()
    assert rig.rows("SELECT id, first_id, last_id FROM block") == [(1, 1, 100), (3, 201, 300)]
    assert rig.verdict().fits
    rig.ledger()


def test_batch_under_way_is_not_evicted(make):
    rig = make()
    rig.add(300, step_ms=0)
    batch = rig.store.sinks.next_batch("http", 300)
    fill(rig)
    again = rig.store.sinks.next_batch("http", 300, "backlog")
    assert (again.key, again.rows) == (batch.key, batch.rows)
    assert rig.store.sinks.acknowledge("http", batch)
    sent = len(batch.rows) + rig.send_all()
    sink = rig.ledger().sinks[0]
    assert (sink.acknowledged, sink.pending) == (sent, 0)
    assert sink.acknowledged + sink.evicted == 300 + 40 * 4096


def test_acknowledged_readings_are_evicted_from_nobody(make):
    rig = make()
    for _ in range(40):
        rig.mixed(4096, step_ms=50)
        rig.send_all(count=5000)
        rig.minute()
    sink = rig.ledger().sinks[0]
    assert (sink.acknowledged, sink.evicted, sink.pending) == (40 * 4096, 0, 0)
    assert rig.ledger().total("evicted") > 0


def test_eviction_that_is_killed_goes_on(make):
    rig = make()
    rig.mixed(4096, step_ms=50)
    for _ in range(30):
        rig.mixed(4096, step_ms=50)
        rig.clock.advance(60_000)
        for _ in range(4):  # less than there is to do
            rig.upkeep.step(rig.clock.utc_ms(), is_time_right=True)
        rig.reopen(is_crash=True)
        rig.store.sinks.register("http")
        rig.ledger()
    rig.minute()
    rig.minute()
    assert rig.ledger().total("evicted") > 0
    assert rig.verdict().fits


def test_last_resort_is_events_and_summaries_of_hours(make):
    tight = Limits(max_size=2_200_000, high_water=0.5, low_water=0.4)
    rig = make(limits=tight, sink=False)
    batch = WriteBatch()
    rows = [(*event_row(rig.opened)[:8], "m" * 1000, 0) for _ in range(600)]
    batch.events.extend(rows)
    for _ in range(4):
        rig.store.commit(batch)
    rig.add(100, step_ms=0)
    rig.minute()
    assert rig.rows("SELECT count(*) FROM reading") == [(0,)]
    assert 0 < rig.rows("SELECT count(*) FROM event")[0][0] < 2400
    rig.ledger()


def test_when_nothing_may_go_the_store_says_that_it_is_full(make):
    rejecting = {f"on_full_{kind}": "reject_new" for kind in ("bulk", "telemetry", "event")}
    rig = make(rejecting, limits=Limits(max_size=2_200_000, high_water=0.5, low_water=0.4))
    batch = WriteBatch()
    batch.events.extend([(*event_row(rig.opened)[:8], "m" * 1000, 0) for _ in range(2000)])
    rig.store.commit(batch)
    rig.minute()
    assert rig.upkeep.status()["state"] == "full"
    assert rig.upkeep.status()["is_degraded"]
    with rig.store.transaction() as tx:
        tx.execute("DELETE FROM event")
    rig.minute()
    rig.minute()
    assert rig.upkeep.status()["state"] == "ok"


# -- the disk ----------------------------------------------------------------------


def test_free_disk_is_kept_and_never_all_of_the_store_given_for_it(make):
    free = [400 * MEGABYTE]
    limits = Limits(min_free=200 * MEGABYTE, keep_size=2 * MEGABYTE)
    rig = make(limits=limits, free=lambda _: free[0])
    fill(rig, batches=25)
    assert rig.ledger().total("evicted") == 0
    free[0] = 10 * MEGABYTE  # somebody's log
    rig.minute()
    left = rig.upkeep.capacity.used_size()
    assert 1.5 * MEGABYTE < left <= 2 * MEGABYTE
    free[0] = 400 * MEGABYTE
    rig.minute()
    assert rig.upkeep.capacity.state == "ok"
    rig.ledger()


def test_reserve_is_taken_given_and_taken_again(make):
    rig = make()
    reserve = rig.path.with_name(rig.path.name + ".reserve")
    assert reserve.stat().st_size == rig.upkeep.capacity.reserve_size
    rig.mixed(8192)
    rig.keep_up()
    rig.upkeep.disk_is_full()
    assert not reserve.exists()
    assert rig.upkeep.capacity.state == "evicting"
    rig.keep_up()
    assert rig.upkeep.capacity.state == "ok"
    assert reserve.exists()
    assert rig.ledger().total("evicted") > 0


def test_wal_is_emptied_when_nothing_comes(make):
    rig = make()
    rig.mixed(500)
    rig.minute()
    assert rig.upkeep.capacity.wal_size > 0
    rig.minute()
    assert rig.upkeep.capacity.wal_size == 0


def test_reader_that_holds_the_wal_up_is_seen_and_costs_no_reading(make, log):
    rig = make()
    reader = sqlite3.connect(rig.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM reading").fetchone()
    for _ in range(60):
        rig.mixed(1000)
        rig.keep_up()
    wal_bytes = rig.upkeep.status()["wal_bytes"]
    assert wal_bytes > 4 * SMALL.max_size // 8
    assert any("a query of somebody's doesn't end" in line for line in log.warnings())
    assert rig.ledger().total("evicted") == 0
    reader.close()
    rig.mixed(1000)
    rig.keep_up()
    assert rig.upkeep.status()["wal_bytes"] < wal_bytes / 4


def test_smaller_cap_leaves_as_much_as_a_start_with_it_would(make):
    rigs = [make(limits=Limits()) for _ in range(2)]
    for rig in rigs:
        for _ in range(20):
            rig.mixed(4096, step_ms=50)
            rig.minute()
    reloaded, restarted = rigs
    limits = Limits(max_size=2 * MEGABYTE)
    reloaded.upkeep.adopt(limits)
    assert 0 < reloaded.upkeep.capacity.room_size() <= limits.max_size
    restarted.limits = limits
    restarted.reopen()
    for rig in rigs:
        rig.keep_up()
        assert rig.path.stat().st_size <= limits.max_size  # at once, not in a minute
    assert reloaded.upkeep.capacity.reserve_size == restarted.upkeep.capacity.reserve_size
    left = [rig.ledger().total("present") for rig in rigs]
    # Not to the block: a start seals and checkpoints.
    assert all(10_000 < one < 20 * 4096 for one in left)
    assert abs(left[0] - left[1]) <= 4096
    for rig in rigs:
        fill(rig, 20)
        size = sum(
            one.stat().st_size
            for one in rig.path.parent.glob(f"{rig.path.name}*")
            if one.name.endswith((".db", "-wal"))
        )
        assert size <= limits.max_size


def test_smaller_cap_is_met_while_the_load_leaves_no_time_for_anything_else(make):
    rig = make(limits=Limits())
    for _ in range(40):
        rig.mixed(4096, step_ms=50)
        rig.minute()
    limits = Limits(max_size=2 * MEGABYTE)
    assert rig.path.stat().st_size > 1.5 * limits.max_size
    rig.upkeep.adopt(limits)
    for _ in range(60):
        rig.mixed(4096, step_ms=50)
        for _ in range(2):  # there is always more to do
            assert rig.upkeep.step(UTC_MS, is_time_right=True)
    rig.store.checkpoint()
    assert rig.path.stat().st_size <= limits.max_size


def test_greater_cap_ends_an_eviction_that_is_under_way(make):
    rig = make(limits=Limits())
    for _ in range(20):
        rig.mixed(4096, step_ms=50)
        rig.minute()
    rig.upkeep.adopt(Limits(max_size=2 * MEGABYTE))
    capacity = rig.upkeep.capacity
    assert capacity.look() and capacity.step()
    evicted = capacity.evicted_total
    assert (evicted > 0, capacity.state) == (True, "evicting")
    rig.upkeep.adopt(Limits(max_size=200 * MEGABYTE))
    rig.minute()
    assert (capacity.evicted_total, capacity.state) == (evicted, "ok")


def test_disk_is_given_back_in_pieces_of_many_pages(make):
    rig = make(limits=Limits())
    for _ in range(20):
        rig.mixed(4096, step_ms=50)
        rig.minute()
    _, _, before = rig.store.pages()
    with rig.store.transaction() as tx:
        tx.execute("CREATE TABLE more (x)")
        tx.executemany("INSERT INTO more VALUES (?)", [(bytes(900),)] * 3000)
    with rig.store.transaction() as tx:
        tx.execute("DROP TABLE more")
    _, pages, free = rig.store.pages()
    assert free >= before + 3000
    rig.store.give_back(256)
    assert rig.store.pages()[2] == free - 256
    assert rig.store.pages()[1] <= pages - 256  # and those that say where others are
    rig.minute()
    assert rig.store.pages()[2] <= 1024
    assert rig.path.stat().st_size == rig.store.pages()[0] * rig.store.pages()[1]
    assert rig.ledger().is_balanced
