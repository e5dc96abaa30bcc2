"""Summaries of all readings: each is in exactly one of each period, whatever happens."""

import random

import pytest
from host.fakes import UTC_MS, Liar
from host.store_rig import StoreRig
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.errors import StoreError
from pyv_edge_core.privacy import PrivacyPolicy

MINUTE_MS = 60_000


@pytest.fixture
def rig(tmp_path):
    made = StoreRig(tmp_path / "edge.db")
    yield made
    made.close()


def check_summaries(rig, period_ms):
    """Compare all summaries of a period with what arithmetic makes of the readings."""
    found = {}
    for channel, utc_ms, quality, value in rig.rows(
        "SELECT channel_id, utc_ms, quality & 3, value FROM reading ORDER BY id"
    ):
        key = (channel, utc_ms // period_ms * period_ms)
        found.setdefault(key, []).append((utc_ms, quality, value))
    rows = rig.rows(
        "SELECT channel_id, start_ms, count, bad_count, low, high, total, last FROM summary"
        f" WHERE period_ms = {period_ms}"
    )
    assert {row[:2] for row in rows} == set(found)
    for row in rows:
        readings = found[row[:2]]
        good = [(utc_ms, value) for utc_ms, quality, value in readings if quality != 2]
        assert row[2:4] == (len(good), len(readings) - len(good))
        if good:
            values = [value for _, value in good]
            assert row[4:7] == (min(values), max(values), sum(values))
            newest_ms = max(utc_ms for utc_ms, _ in good)
            assert row[7] in {value for utc_ms, value in good if utc_ms == newest_ms}


@pytest.mark.parametrize("seed", range(6))
def test_each_reading_is_summarised_once(rig, seed):
    rng = random.Random(seed)
    for _ in range(30):
        count = rng.randrange(1, 300)
        value = rng.randrange(-500, 500)
        rig.add(count, rng.randrange(3), rng.randrange(1, 3000), rng.choice([0, 0, 1, 2]), value)
        if rng.random() < 0.2:
            rig.clock.advance(-rng.randrange(5 * MINUTE_MS))  # late readings
        if rng.random() < 0.4:
            rig.minute()
        if rng.random() < 0.2:
            rig.reopen(is_crash=rng.random() < 0.7)
    rig.minute()
    rig.minute()
    for period_ms in (MINUTE_MS, 60 * MINUTE_MS):
        check_summaries(rig, period_ms)
    assert rig.upkeep.rollups.waiting_count == 0


def test_times_before_1970_have_buckets_too(rig):
    rig.clock.step(-UTC_MS - 90_500)
    rig.add(1, value=7)
    rig.minute()
    assert rig.rows("SELECT start_ms, count FROM summary WHERE period_ms = 60000") == [
        (-120_000, 1)
    ]


def test_sum_beyond_all_numbers_is_unknown_and_stops_nothing(rig):
    rig.add(1, value=1e308)
    rig.add(1, value=1e308)
    rig.minute(is_time_right=False)
    rig.clock.step(-60_000)
    rig.add(2, value=-1e308)
    rig.minute()
    assert rig.store.summaries("porch.temp")[-1]["count"] == 4
    assert rig.upkeep.rollups.waiting_count == 0


def test_only_bad_readings_have_no_values(rig):
    rig.add(3, quality=2, value=0)
    rig.minute()
    (summary,) = rig.store.summaries("porch.temp")
    assert (summary["count"], summary["bad_count"]) == (0, 3)
    assert {summary[name] for name in ("min", "max", "mean", "last")} == {None}


def test_summaries_are_given_by_sensor_period_and_time(rig):
    rig.mixed(600)
    rig.minute()
    hours = rig.store.summaries(period_s=3600)
    assert {row["sensor"] for row in hours} == {"porch.temp", "porch.count", "porch.power"}
    assert sum(row["count"] for row in hours) == 600
    one = rig.store.summaries("porch.temp", start_ms=UTC_MS, end_ms=UTC_MS + 120_000)
    assert [row["count"] for row in one] == [20, 20]
    assert rig.store.summaries("porch.temp", limit=1)[0]["start"] > one[-1]["start"]
    with pytest.raises(ValueError, match="neither 60 nor 3600"):
        rig.store.summaries(period_s=5)
    with pytest.raises(ValueError, match="limit"):
        rig.store.summaries(limit=0)


# -- what sinks get ----------------------------------------------------------------

SUMMARY_ONLY = {"channels": [{"match": "porch.temp", "sync": ["summary"]}]}


def test_sinks_get_summaries_that_are_over_if_the_policy_says_so(tmp_path):
    rig = StoreRig(tmp_path / "edge.db", SUMMARY_ONLY)
    rig.add(60, value=2150)
    rig.add(5, channel=1)
    rig.minute()
    rig.minute()
    found = [item for item in rig.items() if item["type"] == "summary"]
    assert [item["period_s"] for item in found] == [60] * len(found)
    first = found[0]
    assert first["sensor_name"] == "porch.temp"
    assert [item["count"] for item in found] == [20, 40]
    assert (first["mean"], first["unit"], first["min"], first["last"]) == (21.5, "Cel", 21.5, 21.5)
    assert first["timestamp"] * 1000 == UTC_MS // 60_000 * 60_000
    # A late reading: it is sent again, with what is known by now.
    now_ms = rig.clock.utc_ms()
    rig.clock.step(UTC_MS - now_ms)
    rig.add(1, value=9999)
    rig.clock.step(now_ms - UTC_MS)
    rig.minute()
    again = [item for item in rig.items() if item["type"] == "summary"][-1]
    assert (again["timestamp"], again["count"], again["max"]) == (first["timestamp"], 21, 99.99)
    rig.close()


def test_readings_that_are_not_to_be_sent_are_withheld(tmp_path):
    rig = StoreRig(tmp_path / "edge.db", SUMMARY_ONLY)
    rig.store.sinks.register("http")
    rig.add(5)
    rig.add(5, channel=1)
    payloads = []
    while batch := rig.store.sinks.next_batch("http"):
        payloads += Egress(PrivacyPolicy()).readings(batch.rows, batch.channels)
        assert rig.store.sinks.acknowledge("http", batch)
    assert {payload["sensor_name"] for payload in payloads} == {"porch.count"}
    rig.close()


def test_time_in_use_goes_on_over_a_commit_in_doubt_and_a_file_opened_again(tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    for _ in range(3):
        rig.clock.advance(86_400_000)
        rig.minute()
    run_ms = rig.store.run_ms
    assert run_ms == 3 * 86_460_000
    rig.store._writer = Liar(rig.store._writer, lies=1)
    with pytest.raises(StoreError):
        rig.store.audit.append("in doubt", {})
    rig.store.audit.append("another", {})
    assert rig.store.run_ms == run_ms
    stood = rig.store.standing
    rig.upkeep.reopen()
    assert rig.store.standing == stood
    rig.clock.advance(1000)
    assert rig.store.run_ms == run_ms + 1000
    rig.reopen(is_crash=True)
    assert rig.store.run_ms == run_ms
    rig.close()


def test_commit_in_doubt_summarises_and_seals_nothing_twice(tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    rig.add(100, step_ms=0)
    liar = rig.store._writer = Liar(rig.store._writer)
    for work in (rig.upkeep.rollups.roll_up, rig.upkeep.blocks.seal):
        liar.lies = 1
        with pytest.raises(StoreError):
            work()
        rig.minute()
    assert [row["count"] for row in rig.store.summaries("porch.temp")] == [100]
    assert rig.rows("SELECT first_id, last_id FROM block") == [(1, 100)]
    assert rig.verdict().fits
    rig.close()
