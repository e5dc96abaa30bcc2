"""Summaries of channels of which nothing else is stored: right after any number of commits."""

import random
import sqlite3

import pytest
from host.fakes import UTC_MS, batch, greeting
from host.test_ingest import Rig
from pyv_edge_agent.store import read_ledger
from pyv_edge_core.privacy import PrivacyPolicy

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
HOUR = UTC_MS - UTC_MS % HOUR_MS
RULES = [{"pattern": "porch.temp", "action": "aggregate_only"}]


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path / "edge.db", privacy=PrivacyPolicy(RULES))
    made.greet()
    yield made
    made.store.close()


def summaries(rig):
    """Return {(period, start): (count, bad, low, high, total, last, last_ms)} as stored."""
    found = rig.rows(
        "SELECT period_ms, start_ms, count, bad_count, low, high, total, last, last_ms"
        " FROM summary"
    )
    return {row[:2]: row[2:] for row in found}


def told_slowly(readings):
    """Return what `summaries` should, from (time, value, whether bad) of all readings."""
    buckets = {}
    for period_ms in (MINUTE_MS, HOUR_MS):
        for time_ms, value, is_bad in readings:
            start_ms = time_ms // period_ms * period_ms
            buckets.setdefault((period_ms, start_ms), []).append((time_ms, value, is_bad))
    result = {}
    for key, found in buckets.items():
        good = [(time_ms, value) for time_ms, value, is_bad in found if not is_bad]
        values = [value for _, value in good]
        newest = max([time_ms for time_ms, _ in good], default=0)
        last = [value for time_ms, value in good if time_ms == newest]
        result[key] = (
            len(good),
            len(found) - len(good),
            *(min(values, default=0), max(values, default=0), sum(values)),
            *(last[-1] if last else 0, newest),
        )
    return result


@pytest.mark.parametrize("seed", range(5))
def test_many_commits_and_late_readings_come_to_the_same(rig, seed):
    rng = random.Random(seed)
    readings = []
    for seq in range(300):
        at_ms = HOUR + rng.randrange(3 * HOUR_MS) // 7 * 7  # in no order at all
        value, quality = rng.randrange(-5000, 5000), rng.choice((0, 0, 0, 1, 2))
        readings.append((at_ms, value, quality == 2))
        rig.put(batch(seq, [value], quality=quality, base_utc_ms=at_ms))
        if rng.random() < 0.3:
            rig.ingest.run()
    rig.ingest.run()
    assert summaries(rig) == told_slowly(readings)
    assert rig.rows("SELECT count(*) FROM reading") == [(0,)]
    ledger = read_ledger(rig.path)
    assert ledger.is_balanced
    assert [ledger.total(name) for name in ("sampled", "aggregated", "stored", "denied")] == [
        *(300, 300),
        *(0, 0),
    ]


def test_late_reading_changes_the_bucket_it_belongs_to(rig):
    for seq, (minute, value) in enumerate(((0, 500), (1, 700), (2, 600), (0, 100))):
        rig.put(batch(seq, [value], base_utc_ms=HOUR + minute * MINUTE_MS + 10 * (4 - seq)))
        rig.ingest.run()
    found = summaries(rig)
    assert found[MINUTE_MS, HOUR] == (2, 0, 100, 500, 600, 500, HOUR + 40)
    assert found[HOUR_MS, HOUR][:5] == (4, 0, 100, 700, 1900)


def test_summaries_go_on_after_a_restart_and_a_reboot(rig, tmp_path):
    rig.put(batch(0, [100, 300], base_utc_ms=HOUR))
    rig.ingest.run()
    rig.store.close()
    again = Rig(tmp_path / "edge.db", privacy=PrivacyPolicy(RULES))
    again.put(greeting(boot=5))
    again.put(batch(0, [200], boot=5, base_utc_ms=HOUR + 1000))
    again.ingest.run()
    assert summaries(again)[MINUTE_MS, HOUR] == (3, 0, 100, 300, 600, 200, HOUR + 1000)
    assert again.rows("SELECT sensor, period_s, count, min, max, mean, last FROM summaries") == [
        ("porch.temp", 60, 3, 1.0, 3.0, 2.0, 2.0),
        ("porch.temp", 3600, 3, 1.0, 3.0, 2.0, 2.0),
    ]
    again.store.close()


def test_commit_that_fails_adds_nothing_twice(rig):
    rig.store._writer.execute("PRAGMA query_only = ON")
    rig.put(batch(0, [100, 300], base_utc_ms=HOUR))
    for _ in range(3):
        rig.ingest.run()
    assert summaries(rig) == {}
    assert rig.link.take_calls() == []
    rig.store._writer.execute("PRAGMA query_only = OFF")
    rig.put(batch(2, [200], base_utc_ms=HOUR))
    rig.ingest.run()
    assert summaries(rig)[MINUTE_MS, HOUR][:5] == (3, 0, 100, 300, 600)
    assert rig.link.take_calls() == [("committed", greeting().hello.boot, 0, 3)]


def test_bucket_of_bad_readings_only_has_no_measurement(rig):
    rig.put(batch(0, [4711], quality=2, base_utc_ms=HOUR))
    rig.ingest.run()
    connection = sqlite3.connect(rig.path)
    query = "SELECT count, bad_count, min, max, mean, last FROM summaries"
    rows = connection.execute(query).fetchall()
    connection.close()
    assert rows == [(0, 1, None, None, None, None)] * 2  # and not 0, which nobody measured
    rig.put(batch(1, [-5], base_utc_ms=HOUR))
    rig.ingest.run()
    assert summaries(rig)[MINUTE_MS, HOUR][:5] == (1, 1, -5, -5, -5)
