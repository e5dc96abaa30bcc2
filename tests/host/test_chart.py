"""Charts: each point is what the readings in it make up, and a line never crosses a hole."""

import random
from contextlib import closing

import pytest
from host.fakes import UTC_MS
from pyv_edge_agent.cli.selection import OpenedView
from pyv_edge_agent.store import WriteBatch
from pyv_edge_agent.store.reader import StoreReader
from pyv_edge_agent.view.chart import Effort, draw
from pyv_edge_core.privacy import PrivacyPolicy

SENSOR = "porch.temp"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HIDDEN = ["drop", "hash", "local_only", "aggregate_only", "mask", "redact"]


def drawn(rig, times, points=100, *, rules=(), effort=None, sensor=SENSOR, is_local=True):
    policy = PrivacyPolicy(list(rules), key=bytes(32))
    with closing(OpenedView(StoreReader(rig.path), policy, is_local=is_local)) as view:
        return draw(view, sensor, times, points, rig.clock.utc_ms(), effort)


def lose(rig, count, cause="overwritten"):
    batch = WriteBatch()
    boot_id, first = rig.opened.boot_id, rig.seq
    batch.stream(boot_id, 0, first).move(lost=count)
    batch.gaps.append((boot_id, 0, first, first + count - 1, cause, rig.clock.utc_ms(), 0))
    rig.seq += count
    rig.store.commit(batch)


def stored(rig, times, channel=0):
    """Return (utc_ms, value or None) of the readings of a channel, by time."""
    return sorted(
        (utc_ms, None if quality == 2 else value / 100)
        for utc_ms, quality, value in rig.rows(
            "SELECT utc_ms, quality & 3, value FROM reading"
            f" WHERE channel_id = {rig.opened.channel_ids[channel]}"
            f" AND utc_ms >= {times[0]} AND utc_ms < {times[1]}"
        )
    )


def check(found, rig, times):
    """Compare all points with what arithmetic makes of the readings."""
    buckets = {}
    for utc_ms, value in stored(rig, times):
        at_ms = utc_ms // found.bucket_ms * found.bucket_ms if found.bucket_ms else utc_ms
        buckets.setdefault(at_ms, []).append(value)
    assert found.times_ms == sorted(found.times_ms)
    if found.bucket_ms:
        assert found.times_ms == sorted(buckets)
    for place, at_ms in enumerate(found.times_ms if found.bucket_ms else ()):
        values = [value for value in buckets[at_ms] if value is not None]
        assert found.count[place] == len(values)
        assert found.bad[place] == len(buckets[at_ms]) - len(values)
        if values:
            assert found.min[place] == pytest.approx(min(values))
            assert found.max[place] == pytest.approx(max(values))
            assert found.mean[place] == pytest.approx(sum(values) / len(values))
        else:
            assert (found.min[place], found.mean[place], found.max[place]) == (None,) * 3


# -- the points ------------------------------------------------------------------------


def test_few_readings_are_points_of_their_own(rig):
    rig.mixed(9)
    rig.add(1, quality=2)
    times = (UTC_MS, UTC_MS + HOUR_MS)
    found = drawn(rig, times)
    assert (found.source, found.bucket_ms, found.unit) == ("readings", 0, "Cel")
    assert list(zip(found.times_ms, found.mean, strict=True)) == stored(rig, times)
    assert found.min == found.max == found.mean
    assert (found.count, found.bad) == ([1, 1, 1, 0], [0, 0, 0, 1])


@pytest.mark.parametrize("seed", range(8))
def test_each_point_is_what_its_readings_make_up(rig, seed):
    """Of readings, minutes and hours; summarised, sealed or not; late, bad and of others."""
    rng = random.Random(seed)
    for _ in range(25):
        count, channel = rng.randrange(1, 200), rng.choice([0, 0, 0, 1, 2])
        step_ms, quality = rng.choice([50, 1000, 20_000, 400_000]), rng.choice([0, 0, 0, 1, 2])
        rig.add(count, channel, step_ms, quality, rng.randrange(-5000, 5000))
        if rng.random() < 0.2:
            rig.clock.step(-rng.randrange(HOUR_MS))
        if rng.random() < 0.3:
            rig.minute()
    newest_ms = rig.rows("SELECT max(utc_ms) FROM reading")[0][0]
    for points in (50, 400):
        times = (UTC_MS - HOUR_MS, newest_ms + 1)
        found = drawn(rig, times, points)
        assert found.source == "readings"
        check(found, rig, times)
        for effort, source, period_ms in (
            (Effort(0, 0), "minute", 60_000),
            (Effort(0, 0, 0), "hour", HOUR_MS),
        ):
            # Whole periods: a summary can't be taken apart.
            whole = (times[0] // HOUR_MS * HOUR_MS, (times[1] // HOUR_MS + 1) * HOUR_MS)
            found = drawn(rig, whole, points, effort=effort)
            assert found.source == source
            assert found.bucket_ms % period_ms == 0
            check(found, rig, whole)


def test_points_are_about_as_many_as_asked_for(rig):
    rig.add(20_000, value=5)
    rig.minute()
    span = (UTC_MS, UTC_MS + 20_000_000)
    for points in (10, 100, 700):
        for effort in (None, Effort(0, 0), Effort(0, 0, 0)):
            found = drawn(rig, span, points, effort=effort)
            assert 1 <= len(found.times_ms) <= points + 1


def test_unset_clock_has_dated_minutes_that_begin_at_any_time(rig):
    """Its summaries are moved as they are when it has been set, and found all the same."""
    rig.add(120, value=100)
    rig.minute()
    rows = rig.rows("SELECT count(*) FROM summary WHERE period_ms = 60000")[0][0]
    with rig.store.transaction() as tx:
        tx.execute("UPDATE summary SET start_ms = start_ms + 17000, unset_id = 1")
        tx.execute(
            "INSERT INTO time_segment (id, host_boot, began_ms, offset_ms, is_synchronised,"
            " first_sync_ms, first_reading_id, first_event_id, first_gap_id, first_item_id)"
            " VALUES (1, 'b', 1000, ?, 0, 0, 1, 1, 1, 1)",
            (UTC_MS - 1000,),
        )
    whole = (UTC_MS - HOUR_MS, UTC_MS + 2 * HOUR_MS)
    found = drawn(rig, whole, 1000, effort=Effort(0, 0))
    assert rows >= 2
    assert sum(found.count) == 120


def test_what_was_measured_in_another_unit_is_no_part_of_the_chart(rig):
    """Degrees of two kinds have no mean."""
    rig.add(10, value=100)
    with rig.store.transaction() as tx:
        tx.execute("UPDATE channel SET unit = 'K', sensor_name = 'porch.temp' WHERE id = 2")
    rig.add(10, channel=1, value=300)
    exponent = rig.rows("SELECT exponent FROM channel WHERE id = 2")[0][0]
    for points in (100, 2):
        found = drawn(rig, (UTC_MS, UTC_MS + HOUR_MS), points)
        assert found.unit == "K"
        assert sum(found.count) == 10
        assert set(found.mean) == {300 * 10**exponent}


@pytest.mark.parametrize("is_part", [False, True], ids=["whole blocks", "part of a block"])
def test_readings_that_are_gone_are_drawn_from_their_summaries(rig, is_part):
    rig.add(6000, step_ms=60_000, value=5)
    rig.minute()
    gone = "id < 2000" if is_part else "id <= 4096"
    with rig.store.transaction() as tx:
        tx.execute(f"DELETE FROM reading WHERE {gone}")
        tx.execute("UPDATE stream SET expired_total = 1999")
        if is_part:
            tx.execute("UPDATE block SET removed = 1999 WHERE id = 1")
        else:
            tx.execute("DELETE FROM block WHERE id = 1")
    found = drawn(rig, (UTC_MS - HOUR_MS, rig.clock.utc_ms()), 200)
    assert found.source == "minute"
    assert sum(found.count) == 6000
    recent = (rig.clock.utc_ms() - 20 * 60_000, rig.clock.utc_ms())
    assert drawn(rig, recent, 200).source == "readings"


def test_what_was_stored_as_summaries_alone_is_drawn_from_them(rig):
    rig.add(600, step_ms=10_000, value=5)
    rig.minute()
    with rig.store.transaction() as tx:
        tx.execute("DELETE FROM reading WHERE id BETWEEN 200 AND 400")
        tx.execute("UPDATE stream SET aggregated_total = 201")
    whole = (UTC_MS - HOUR_MS, rig.clock.utc_ms())
    found = drawn(rig, whole, 200)
    assert (found.source, sum(found.count)) == ("minute", 600)
    gone_ms = UTC_MS + 3_000_000
    assert sum(drawn(rig, (gone_ms, gone_ms + 300_000), 200).count) >= 24


def test_late_readings_are_drawn_one_by_one_if_none_has_ever_gone(rig):
    rig.add(100, value=5)
    rig.clock.step(-6 * HOUR_MS)
    began_ms = rig.clock.utc_ms()
    rig.add(300, value=5)
    rig.minute()
    assert drawn(rig, (began_ms, began_ms + 300_000), 800).source == "readings"


def test_unit_is_that_of_the_newest_reading(rig):
    rig.add(5, value=100)
    with rig.store.transaction() as tx:
        tx.execute("UPDATE channel SET unit = 'K', sensor_name = 'porch.temp' WHERE id = 2")
    rig.add(5, channel=1, value=300)
    rig.add(5, value=100)
    found = drawn(rig, (UTC_MS, UTC_MS + HOUR_MS))
    assert (found.unit, sum(found.count)) == ("Cel", 10)


def test_short_time_of_very_many_channels_is_of_readings_all_the_same(rig):
    rig.add(200, value=5)
    times = (UTC_MS, UTC_MS + 300_000)
    assert drawn(rig, times, 800, effort=Effort(ids_max=100)).source == "readings"
    assert drawn(rig, times, 800, effort=Effort(ids_max=100, ids_most=100)).source == "minute"


# -- what may be known -----------------------------------------------------------------


@pytest.mark.parametrize("action", HIDDEN)
@pytest.mark.parametrize("is_local", [True, False])
def test_nothing_is_drawn_that_must_not_be_known(rig, action, is_local):
    rig.mixed(300)
    rig.minute()
    rule = {"pattern": SENSOR, "action": action}
    times = (UTC_MS // HOUR_MS * HOUR_MS, UTC_MS + HOUR_MS)
    for effort in (None, Effort(0, 0)):
        found = drawn(rig, times, rules=[rule], effort=effort, is_local=is_local)
        if action in ("drop", "hash") or (not is_local and action not in ("mask", "redact")):
            assert found is None
        elif action in ("mask", "redact"):
            assert found is None or set(found.mean) <= {None}
        elif action == "aggregate_only":
            assert found.source == "minute"
        else:
            assert found.mean[0] is not None


def test_values_are_made_coarser_as_the_policy_says(rig):
    rig.add(30, value=1234)
    rig.minute()
    rule = {"pattern": SENSOR, "action": "quantize", "step": 5}
    times = (UTC_MS // HOUR_MS * HOUR_MS, UTC_MS + HOUR_MS)
    for effort in (None, Effort(0, 0)):
        found = drawn(rig, times, rules=[rule], effort=effort)
        assert set(found.mean) == set(found.min) == {10.0}


def test_unknown_sensor_has_no_chart(rig):
    rig.add(1)
    assert drawn(rig, (UTC_MS, UTC_MS + HOUR_MS), sensor="porch.*") is None
    assert drawn(rig, (UTC_MS, UTC_MS + HOUR_MS), sensor="") is None


def test_time_without_readings_is_an_empty_chart(rig):
    rig.add(3)
    found = drawn(rig, (UTC_MS - DAY_MS, UTC_MS - HOUR_MS))
    assert (found.times_ms, found.holes) == ([], [])


# -- the holes ---------------------------------------------------------------------------


def holes(found):
    return [(one.start_ms, one.end_ms, one.lost, one.causes) for one in found.holes]


def test_gap_record_between_two_readings_is_a_hole_however_small(rig):
    rig.add(10, value=1)
    before_ms = rig.clock.utc_ms() - 1000
    lose(rig, 3)
    rig.add(10, value=1)
    found = drawn(rig, (UTC_MS, UTC_MS + HOUR_MS), 100)
    assert holes(found) == [(before_ms, before_ms + 1000, 3, ["overwritten"])]


def test_silence_is_a_hole_of_which_nothing_is_known_to_be_missing(rig):
    rig.add(10, value=1)
    last_ms = rig.clock.utc_ms() - 1000
    rig.clock.advance(60_000)
    rig.add(10, value=1)
    found = drawn(rig, (UTC_MS, rig.clock.utc_ms()), 100)
    assert holes(found) == [(last_ms, last_ms + 61_000, None, [])]


def test_what_has_not_come_by_now_is_a_hole_at_the_end(rig):
    rig.add(10, value=1)
    last_ms = rig.clock.utc_ms() - 1000
    rig.clock.advance(30_000)
    found = drawn(rig, (UTC_MS, UTC_MS + DAY_MS), 100)
    assert holes(found) == [(last_ms, rig.clock.utc_ms(), None, [])]
    assert drawn(rig, (UTC_MS, last_ms + 1500), 100).holes == []  # that was no time to wait


def test_new_boot_has_holes_of_both_boots(rig):
    rig.add(5, value=1)
    lose(rig, 2)
    rig.add(5, value=1)
    assert sum(one.lost or 0 for one in drawn(rig, (UTC_MS, UTC_MS + HOUR_MS)).holes) == 2


@pytest.mark.parametrize("effort", [None, Effort(0, 0)], ids=["readings", "minutes"])
def test_hole_between_buckets_knows_what_is_missing(rig, effort):
    rig.add(1200, value=1)
    lose(rig, 25)
    lose(rig, 5, "released")
    rig.clock.advance(10 * 60_000)
    rig.add(1200, value=1)
    rig.minute()
    times = (UTC_MS // HOUR_MS * HOUR_MS, rig.clock.utc_ms())
    found = drawn(rig, times, 200, effort=effort)
    assert found.bucket_ms > 0
    whole = [one for one in found.holes if one.lost]
    assert [(one.lost, one.causes) for one in whole] == [(30, ["overwritten", "released"])]
    (hole,) = whole
    assert hole.end_ms - hole.start_ms >= 8 * 60_000
    places = [
        place for place, at in enumerate(found.times_ms) if hole.start_ms <= at < hole.end_ms
    ]
    assert places == []


def test_bucket_without_readings_is_a_hole_where_each_usually_has_several(rig):
    rig.add(300, step_ms=200, value=1)
    lose(rig, 40)
    rig.clock.advance(8000)
    rig.add(300, step_ms=200, value=1)
    found = drawn(rig, (UTC_MS, rig.clock.utc_ms()), 40)  # of 5 s: one is empty
    (hole,) = [one for one in found.holes if one.lost]
    assert hole.lost == 40
    assert hole.end_ms - hole.start_ms == found.bucket_ms == 5000


def test_only_the_longest_holes_are_looked_up_and_the_others_say_so(rig):
    for _ in range(30):
        rig.add(60, step_ms=10_000, value=1)
        lose(rig, 1)
        rig.clock.advance(300_000)
    rig.add(120, value=1)
    rig.minute()
    times = (UTC_MS // HOUR_MS * HOUR_MS, rig.clock.utc_ms())
    found = drawn(rig, times, 2000, effort=Effort(0, 0))
    causes = [one.causes for one in found.holes]
    assert causes.count(["overwritten"]) == 20
    assert causes.count(["not looked up"]) == 10


def test_sensor_that_speaks_seldom_and_as_it_likes_is_not_full_of_holes(rig):
    rng = random.Random(1)
    for _ in range(60):
        rig.add(1, step_ms=rng.choice([1000, 5000, 30_000]), value=1)
    found = drawn(rig, (UTC_MS, rig.clock.utc_ms()), 500)
    assert found.holes == []
