"""What was dated by a clock that was not set is corrected once, whoever is killed meanwhile."""

import json
import sqlite3

import pytest
from host.fakes import MONOTONIC_MS, OFFSET_MS, UTC_MS, FakeClock, batch
from host.test_alerting import BOARD_ALERTS, CHANNELS, DEVICE, HIGH, Agent
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import Limits, Upkeep, read_ledger, verify
from pyv_edge_agent.store.time_segment import RETIME_ROWS_MAX, retimed_item
from pyv_edge_agent.submission import Feed, Sample, Submission
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.channel_table import EVENT_FIRED
from pyv_edge_core.host_event import Loss
from pyv_edge_core.privacy import PrivacyPolicy

HOUR_MS = 3_600_000
WRONG_MS = -1000 * 24 * HOUR_MS  # what a clock is off by that begins where it was last stopped

GOOD, UNSET, RETIMED = 0, 1, 2


class Site:
    """A computer whose clock is wrong until it is set, and agents on it, one after another."""

    def __init__(self, path):
        self.path = path
        self.clock = FakeClock(utc_ms=UTC_MS + WRONG_MS, is_set=False)
        self.agent = None

    def start(self, rules=(HIGH,), **more):
        self.agent = Agent(self.path, self.clock, rules, **more)
        return self.agent

    def set_clock(self, off_ms=0):
        """Set the clock to what it should be."""
        self.clock.now_utc_ms = self.clock.now_ms + OFFSET_MS + off_ms
        self.clock.is_set = True

    def settle(self, rounds=1000):
        """Let the agent's thread run until all is corrected."""
        for _ in range(rounds):
            self.clock.advance(1000)
            self.agent.ingest.run()
            if not self.agent.ingest.time.is_retiming:
                return
        raise AssertionError("still correcting")

    def rows(self, columns="utc_ms, quality >> 2", table="reading"):
        return self.agent.rows(f"SELECT {columns} FROM {table} ORDER BY 1")

    def counts(self):
        found = dict(self.agent.rows("SELECT quality >> 2, count(*) FROM reading GROUP BY 1"))
        return tuple(found.get(name, 0) for name in (GOOD, UNSET, RETIMED))


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "edge.db")
    yield made
    if made.agent is not None:
        made.agent.store.close()


# -- what is corrected -------------------------------------------------------------


def test_readings_are_marked_and_then_corrected(site):
    agent = site.start()
    agent.greet()
    agent.read(1, 2, quality=1)
    truth = [UTC_MS + 1000, UTC_MS + 2000]
    assert site.rows() == [(moment + WRONG_MS, UNSET) for moment in truth]
    site.set_clock()
    agent.read(3)
    site.settle()
    assert site.rows() == [*((moment, RETIMED) for moment in truth), (UTC_MS + 3000, GOOD)]
    assert agent.rows("SELECT quality, time_quality FROM readings") == [
        ("uncertain", "retimed"),
        ("uncertain", "retimed"),
        ("good", "good"),
    ]
    assert agent.rows("SELECT time_quality, retimed_total FROM clock_steps") == [
        ("retimed", 2),
        ("good", 0),
    ]
    assert agent.ingest.time.retimed_total == 2
    assert read_ledger(site.path).is_balanced
    for _ in range(5):
        agent.wait(1000)
    assert site.counts() == (1, 0, 2)


def test_everything_else_that_has_a_date_is_corrected_too(site):
    agent = site.start(rules=[HIGH])
    agent.greet(channels=CHANNELS, alerts=BOARD_ALERTS)
    agent.read(4500)
    agent.hear((2, EVENT_FIRED, -150))
    agent.put(Loss(0, 1, 1, 3, agent.boot))
    agent.ingest.add_polled(DEVICE, SensorReading("t1", agent.ingest.time.utc_ms() / 1000, 5.0), 0)
    agent.ingest.run()
    queued = agent.store.items.add({"timestamp": 5.0, "mine": True}, 3, 0.0, 0)
    assert [item["metadata"]["time_quality"] for item, _ in agent.items()[:2]] == ["unset"] * 2
    site.set_clock()
    site.settle()
    assert agent.rows("SELECT utc_ms, time_quality FROM event ORDER BY id") == [
        (UTC_MS + 1000, RETIMED),
        (UTC_MS, RETIMED),
    ]
    assert agent.rows("SELECT utc_ms, time_quality FROM gap") == [(UTC_MS + 1000, RETIMED)]
    assert agent.rows("SELECT first_seen_utc_ms FROM boot") == [(UTC_MS,), (UTC_MS + 1000,)]
    assert agent.rows("SELECT vitals_utc_ms FROM boot") == [(None,), (UTC_MS + 1000,)]
    (found, heard, gap, mine) = [item for item, _ in agent.items()]
    assert found["timestamp"] == found["sensor_readings"][0]["timestamp"] == UTC_MS / 1000 + 1
    assert (heard["timestamp"], heard["metadata"]["time_quality"]) == (UTC_MS / 1000, "retimed")
    assert (gap["timestamp"], gap["metadata"]["time_quality"]) == (UTC_MS / 1000 + 1, "retimed")
    assert mine == {"timestamp": 5.0, "mine": True}
    assert queued == 4


def test_what_comes_later_is_not_touched(site):
    agent = site.start()
    agent.greet()
    agent.read(1)
    site.set_clock()
    agent.wait(1000)
    agent.read(4500)
    agent.put(Loss(0, 1, 2, 3, agent.boot))
    site.settle()
    assert agent.rows("SELECT time_quality FROM event") == [(GOOD,)]
    assert agent.rows("SELECT time_quality FROM gap") == [(GOOD,)]
    (event, gap) = [item for item, _ in agent.items()]
    assert "time_quality" not in event["metadata"]
    assert "metadata" not in gap


@pytest.mark.parametrize("item", [{}, {"metadata": 5}, {"metadata": {"time_quality": "unset"}}])
def test_item_that_is_none_of_ours_is_left_alone(item):
    before = json.dumps(item)
    assert not retimed_item(item, 5)
    assert json.dumps(item) == before


def test_bound_grows_by_what_a_free_clock_may_drift(site):
    agent = site.start()
    agent.greet()
    agent.read(1)
    agent.wait(2 * HOUR_MS)
    agent.read(2)
    site.set_clock()
    site.settle()
    (old, new) = [row[0] for row in agent.rows("SELECT error_ms FROM reading ORDER BY id")]
    assert 3600 <= old <= 3610  # two hours at 500 ppm
    assert new <= 10


def test_summaries_of_a_clock_that_was_not_set_stay_by_themselves(site):
    policy = PrivacyPolicy([("porch.temp", "aggregate_only")])
    agent = site.start(privacy=policy)
    agent.greet()
    agent.read(100, 200)
    (wrong_start,) = {start for start, _ in site.rows("start_ms, period_ms", "summary")[-1:]}
    assert agent.rows("SELECT DISTINCT time_quality FROM summaries") == [("unset",)]
    site.set_clock()
    agent.read(300)
    site.settle()
    found = agent.rows(
        "SELECT time_quality, count, min, max FROM summaries WHERE period_s = 60 ORDER BY 1"
    )
    assert found == [("good", 1, 3.0, 3.0), ("retimed", 2, 1.0, 2.0)]
    (moved,) = agent.rows("SELECT start_ms FROM summary WHERE unset_id > 0 AND period_ms = 60000")
    assert moved == (wrong_start - WRONG_MS,)
    # A clock that begins where it was last stopped must not add to what is there already.
    assert agent.rows("SELECT count(*) FROM summary") == [(4,)]


def test_what_a_sender_has_dated_stays_as_it_is_also_in_summaries(site):
    agent = site.start()
    feed = Feed({"name": "meter"}, agent.ingest.put, lambda name: {}, site.clock)
    feed.put(Submission([Sample("sent", 1.0, UTC_MS), Sample("here", 2.0)]))
    agent.ingest.run()
    upkeep = Upkeep(agent.store, Limits())
    while upkeep.rollups.roll_up():
        pass
    site.set_clock()
    site.settle()
    assert agent.rows("SELECT sensor, time_quality FROM readings ORDER BY id") == [
        ("meter.sent", "sender"),
        ("meter.here", "retimed"),
    ]
    assert site.rows("utc_ms") == [(UTC_MS,)] * 2
    assert agent.rows(
        "SELECT sensor, start_ms, time_quality FROM summaries WHERE period_s = 60 ORDER BY 1"
    ) == [
        ("meter.here", UTC_MS // 60_000 * 60_000, "retimed"),
        ("meter.sent", UTC_MS // 60_000 * 60_000, "good"),
    ]


@pytest.mark.parametrize("by_ms", [120_000, -120_000, 7])
def test_summaries_may_move_to_where_others_were(site, by_ms):
    policy = PrivacyPolicy([("porch.temp", "aggregate_only")])
    agent = site.start(privacy=policy)
    site.clock.now_utc_ms = UTC_MS - by_ms
    agent.wait(1000)
    agent.greet()
    agent.read(*range(300))
    before = site.rows("start_ms, count, low, high", "summary WHERE period_ms = 60000")
    assert len(before) >= 5
    site.set_clock()
    site.settle()
    after = site.rows("start_ms, count, low, high", "summary WHERE period_ms = 60000")
    assert after == [(row[0] + by_ms, *row[1:]) for row in before]


# -- once --------------------------------------------------------------------------


def many(agent, count):
    """Store `count` readings, a millisecond apart."""
    base_utc_ms = agent.clock.monotonic_ms() + OFFSET_MS
    for first in range(0, count, 500):
        values = range(min(500, count - first))
        agent.put(batch(first, values, boot=agent.boot, base_utc_ms=base_utc_ms + first))
    agent.next_seq[0] = count
    return [(base_utc_ms + place, RETIMED) for place in range(count)]


def test_pieces_leave_room_for_commits(site):
    agent = site.start()
    agent.greet()
    truth = many(agent, 2 * RETIME_ROWS_MAX + 500)
    agent.link.take_calls()
    site.set_clock()
    agent.read(7)
    assert site.counts() == (1, RETIME_ROWS_MAX + 500, RETIME_ROWS_MAX)
    assert agent.link.take_calls() == [("committed", agent.boot, 0, len(truth) + 1)]
    assert agent.wake.is_set()  # the next piece comes at once
    assert agent.ingest.time.is_retiming
    agent.read(8)
    site.settle()
    assert [row for row in site.rows() if row[1] == RETIMED] == truth
    assert site.counts() == (2, 0, len(truth))


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_agent_that_is_killed_goes_on_where_it_stood(site, pieces):
    agent = site.start()
    agent.greet()
    truth = many(agent, 2 * RETIME_ROWS_MAX + 500)
    site.set_clock()
    for _ in range(pieces):
        agent.ingest.run()
    agent.kill()
    agent = site.start()
    assert site.counts()[2] == pieces * RETIME_ROWS_MAX
    assert agent.ingest.time.is_retiming
    site.settle()
    assert site.rows() == truth
    assert agent.rows("SELECT retimed_total FROM time_segment WHERE id = 1") == [(len(truth),)]


def test_piece_that_fails_half_way_has_done_nothing(site):
    agent = site.start()
    agent.greet()
    truth = many(agent, 100)
    before = site.rows()
    connection = sqlite3.connect(site.path)
    # The last statement of the piece but one fails, when all readings are corrected.
    connection.execute(
        "CREATE TRIGGER cut BEFORE UPDATE OF is_retimed ON time_segment"
        " BEGIN SELECT RAISE(ABORT, 'cut'); END"
    )
    connection.commit()
    site.set_clock()
    for _ in range(3):
        agent.wait(1000)
        assert "cut" in agent.ingest.problem
        assert site.rows() == before
    agent.kill()
    agent = site.start()
    assert site.rows() == before
    connection.execute("DROP TRIGGER cut")
    connection.commit()
    connection.close()
    site.settle()
    assert site.rows() == truth
    assert agent.ingest.problem == ""


def test_failed_piece_does_not_keep_readings_from_being_stored(site, log):
    agent = site.start()
    agent.greet()
    agent.read(1)
    connection = sqlite3.connect(site.path)
    connection.execute(
        "CREATE TRIGGER cut BEFORE UPDATE ON reading BEGIN SELECT RAISE(ABORT, 'cut'); END"
    )
    connection.commit()
    site.set_clock()
    agent.read(2, 3)
    assert site.counts() == (2, 1, 0)
    connection.execute("DROP TRIGGER cut")
    connection.commit()
    connection.close()
    site.settle()
    assert site.counts() == (2, 0, 1)


def test_closed_store_fails_with_a_store_error(site):
    agent = site.start()
    agent.greet()
    agent.read(1)
    site.set_clock()
    assert agent.ingest.time.look()
    agent.ingest.time.adopt()
    agent.store.close()
    with pytest.raises(StoreError):
        agent.ingest.time.retime()


# -- which boots of the computer ---------------------------------------------------


def test_earlier_runs_of_the_same_boot_are_corrected_too(site):
    for _ in range(3):
        agent = site.start()
        agent.greet()
        agent.read(1)
        agent.kill()
        site.clock.step(-5 * HOUR_MS)  # and somebody tries to set it by hand
        site.clock.advance(1000)
    site.set_clock()
    agent = site.start()
    site.settle()
    assert site.rows() == [(UTC_MS + 1000 + n * 2000, RETIMED) for n in range(3)]


def test_boot_whose_clock_was_never_set_stays_unset(site):
    agent = site.start()
    agent.greet()
    agent.read(1)
    agent.kill()
    site.clock.host_boot = "host-boot-2"
    site.clock.advance(1000)
    agent = site.start()
    agent.greet(boot=7)
    agent.read(2)
    site.set_clock()
    site.settle()
    assert agent.rows("SELECT utc_ms, time_quality FROM reading JOIN readings USING (id)") == [
        (UTC_MS + WRONG_MS + 1000, "unset"),
        (UTC_MS + 3000, "retimed"),
    ]
    assert agent.rows("SELECT time_quality FROM clock_steps") == [
        ("unset",),
        ("retimed",),
        ("good",),
    ]


def test_correction_that_has_begun_ends_in_the_next_boot_of_the_computer(site):
    agent = site.start()
    agent.greet()
    truth = many(agent, RETIME_ROWS_MAX + 500)
    site.set_clock()
    agent.ingest.run()
    agent.kill()
    site.clock.host_boot, site.clock.is_set = "host-boot-2", False
    site.clock.now_ms, site.clock.now_utc_ms = 5000, 77 * HOUR_MS
    site.start()
    site.settle()
    assert site.rows() == truth


def test_clock_that_is_lost_and_found_again_is_corrected_by_what_it_was_off(site):
    site.set_clock()
    agent = site.start()
    agent.greet()
    agent.read(1)
    site.clock.is_set = False
    agent.read(2)
    assert site.counts() == (1, 1, 0)
    site.set_clock(off_ms=300)
    agent.read(3)
    site.settle()
    assert site.rows() == [
        (UTC_MS + 1000, GOOD),
        (UTC_MS + 2300, RETIMED),
        (UTC_MS + 3300, GOOD),
    ]


def test_step_with_readings_that_cannot_be_stored_waits_for_them(site):
    site.set_clock()
    agent = site.start()
    agent.greet()
    agent.store._writer.execute("PRAGMA query_only = ON")
    agent.read(1)
    site.clock.step(HOUR_MS)
    agent.read(2)
    assert agent.ingest.time.steps_total == 0
    agent.store._writer.execute("PRAGMA query_only = OFF")
    agent.wait(1000)  # what was taken before the step is stored as it was dated, the rest anew
    agent.read(3)
    assert agent.ingest.time.steps_total == 1
    assert site.rows() == [
        (UTC_MS + 1000, GOOD),
        (UTC_MS + HOUR_MS + 2000, GOOD),
        (UTC_MS + HOUR_MS + 4000, GOOD),
    ]


# -- whatever happens --------------------------------------------------------------


class Story:
    """A site over days: what each reading's true time was is noted when it is taken."""

    def __init__(self, path):
        self.site = Site(path)
        self.truth = {}  # true UTC, by value: each reading has its own
        self.offset_ms = OFFSET_MS  # that makes UTC of the monotonic clock, were it right
        self.boots = 1
        self.device_boot = 0
        self.start()

    def start(self):
        self.agent = self.site.start()
        self.device_boot += 1
        self.agent.greet(boot=self.device_boot)

    def read(self, age_ms):
        clock = self.site.clock
        value = len(self.truth)
        taken_ms = clock.monotonic_ms() - age_ms
        self.truth[value] = taken_ms + self.offset_ms
        made = batch(
            self.agent.next_seq[0],
            [value],
            boot=self.device_boot,
            base_utc_ms=taken_ms + OFFSET_MS,  # as `batch` has it: OFFSET_MS after monotonic
        )
        self.agent.put(made)
        self.agent.next_seq[0] += 1

    def restart(self, end):
        getattr(self.agent, end)()
        self.start()

    def reboot(self, wrong_ms):
        self.agent.kill()
        clock = self.site.clock
        true_ms = clock.monotonic_ms() + self.offset_ms + 60_000
        self.boots += 1
        clock.host_boot, clock.is_set = f"host-boot-{self.boots}", False
        clock.now_ms = 10_000
        self.offset_ms = true_ms - clock.now_ms
        clock.now_utc_ms = true_ms + wrong_ms
        self.start()

    def clock_set(self, off_ms):
        clock = self.site.clock
        clock.now_utc_ms = clock.now_ms + self.offset_ms + off_ms
        clock.is_set = True
        self.agent.ingest.run()

    def clock_lost(self, off_ms):
        clock = self.site.clock
        clock.is_set = False
        clock.step(off_ms)
        self.agent.ingest.run()

    def wait(self, ms):
        self.agent.wait(ms)


MOVES = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 5000)),
    st.tuples(st.just("wait"), st.integers(1, HOUR_MS)),
    st.tuples(st.just("restart"), st.sampled_from(["stop", "kill"])),
    st.tuples(st.just("reboot"), st.integers(-10 * HOUR_MS, 10 * HOUR_MS)),
    st.tuples(st.just("clock_set"), st.just(0)),
    st.tuples(st.just("clock_lost"), st.sampled_from([0, 5, -HOUR_MS, 3])),
)


@given(moves=st.lists(MOVES, max_size=30))
def test_every_reading_that_is_said_to_be_right_is(tmp_path_factory, moves):
    story = Story(tmp_path_factory.mktemp("story") / "edge.db")
    try:
        for name, amount in [*moves, ("clock_set", 0)]:
            getattr(story, name)(amount)
        story.site.settle()
        rows = story.agent.rows(
            "SELECT reading.value, utc_ms, error_ms, quality >> 2, host_boot"
            " FROM reading JOIN time_segment ON time_segment.id ="
            " (SELECT max(id) FROM time_segment WHERE first_reading_id <= reading.id)"
            " ORDER BY reading.id"
        )
        assert [row[0] for row in rows] == list(story.truth)
        for value, utc_ms, error_ms, quality, host_boot in rows:
            if quality != UNSET:
                assert abs(utc_ms - story.truth[value]) <= error_ms
            assert quality != UNSET or host_boot != story.site.clock.host_boot
        assert read_ledger(story.site.path).is_balanced
    finally:
        story.agent.store.close()


def test_monotonic_clock_of_the_fakes_begins_where_the_offset_says():
    assert MONOTONIC_MS + OFFSET_MS == UTC_MS


@pytest.mark.parametrize("sealed_after", [0, 1, 2])
def test_digest_of_a_block_covers_what_was_written_whenever_it_is_corrected(site, sealed_after):
    agent = site.start()
    agent.greet()
    agent.read(1, 2, 3)
    upkeep = Upkeep(agent.store)
    if sealed_after == 0:
        assert upkeep.blocks.seal() == 3
    agent.wait(HOUR_MS)
    site.set_clock()
    agent.read(4)
    if sealed_after == 1:
        assert upkeep.blocks.seal() == 4
    site.settle()
    if sealed_after == 2:
        assert upkeep.blocks.seal() == 4
    assert agent.rows("SELECT DISTINCT quality >> 2 FROM reading ORDER BY 1") == [
        (GOOD,),
        (RETIMED,),
    ]
    verdict = verify(agent.path)
    assert (verdict.problems, verdict.readings + verdict.unsealed) == ([], 4)
    with sqlite3.connect(agent.path) as connection:
        connection.execute("UPDATE reading SET utc_ms = utc_ms + 1 WHERE id = 2")
    connection.close()
    assert not verify(agent.path).fits
