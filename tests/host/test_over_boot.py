"""A boot that is over: when its readings were taken is known within a bound that holds."""

import json
from dataclasses import replace
from struct import pack

import pytest
from host.fakes import MONOTONIC_MS, OFFSET_MS, UTC_MS, RecordingLink, batch, event_batch, greeting
from host.link_rig import Rig as LinkRig
from host.test_ingest import BOOT, Rig
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_agent.dating import Dating
from pyv_edge_agent.over_timeline import OverTimeline
from pyv_edge_agent.store import TIME_ESTIMATED, TIME_GOOD, TIME_UNSET, read_ledger
from pyv_edge_agent.timeline import ERROR_MS_MAX
from pyv_edge_core import message
from pyv_edge_core.channel_table import EVENT_FIRED, AlertRow
from pyv_edge_core.host_event import Batch, TimeExchange
from pyv_edge_core.record_ring import RECORD_FORMAT
from pyv_edge_core.request import RESET

HOUR_MS = 3_600_000
LATER = 0x0BADCAFE


# -- the bound -------------------------------------------------------------------------


class Life:
    """A boot that is over, those after it, and the host's time of all of it."""

    def __init__(self, began_ms, lived_ms, off_ms, since_ms, ppm):
        self.began_ms, self.lived_ms = began_ms, lived_ms
        self.present_ms = began_ms + lived_ms + off_ms + since_ms  # when the board is heard
        self.since_ms = since_ms
        self._rate = 1 + ppm / 1_000_000

    def host_ms(self, uptime_ms):
        """Return when, in the host's time, its uptime was that."""
        return self.began_ms + uptime_ms / self._rate

    @property
    def end_ms(self):
        return int(self.lived_ms * self._rate)

    @property
    def since_uptime_ms(self):
        return int(self.since_ms * self._rate)


DURATIONS = st.integers(min_value=0, max_value=20 * 24 * HOUR_MS)


@given(
    lived_ms=DURATIONS,
    off_ms=DURATIONS,
    since_ms=DURATIONS,
    ppm=st.integers(min_value=-499, max_value=499),
    way_ms=st.integers(min_value=0, max_value=20_000),
    share=st.floats(min_value=0, max_value=1),
    late_ms=DURATIONS,
    is_new=st.booleans(),
    places=st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=8),
)
def test_the_true_time_lies_within_the_bound(
    lived_ms, off_ms, since_ms, ppm, way_ms, share, late_ms, is_new, places
):
    life = Life(10**9, lived_ms, off_ms, since_ms, ppm)
    line = OverTimeline()
    line.exchange(life.since_uptime_ms, life.present_ms + way_ms, life.end_ms)
    first_ms = 0 if is_new else int(life.end_ms * share)
    # The newest that the store has was taken before that, or even before the boot began.
    line.welcomed(int(life.host_ms(first_ms)) - late_ms, is_new=is_new)
    line.first(int(first_ms + (life.end_ms - first_ms) * share))
    line.exchange(life.since_uptime_ms + 5000, life.present_ms + way_ms + 5100, life.end_ms)
    for place in sorted(places):
        uptime_ms = int(first_ms + (life.end_ms - first_ms) * place)
        for last_ms in (uptime_ms, life.end_ms):
            offset_ms, error_ms = line.bound(uptime_ms, last_ms)
            for one in (uptime_ms, last_ms):
                assert abs(one + offset_ms - life.host_ms(one)) <= error_ms
    assert line.disagreements_total == 0


def test_all_readings_keep_their_distances():
    line = OverTimeline()
    line.exchange(60_000, 5_000_000, 900_000)
    line.welcomed(3_000_000, is_new=True)
    line.first(10_000)
    offsets = {line.bound(start, start + 1000)[0] for start in range(0, 900_000, 50_000)}
    assert len(offsets) == 1


def test_the_better_it_is_covered_by_readings_the_better_its_time_is_known():
    # Away for ten hours, of which nine are covered: known to half an hour.
    line = OverTimeline()
    away_ms, lived_ms = 10 * HOUR_MS, 20 * HOUR_MS
    left_ms = 100 * HOUR_MS
    line.exchange(60_000, left_ms + away_ms + 60_000, lived_ms)
    line.welcomed(left_ms, is_new=False)
    line.first(lived_ms - 9 * HOUR_MS)
    offset_ms, error_ms = line.bound(lived_ms, lived_ms)
    assert HOUR_MS / 2 <= error_ms < HOUR_MS / 2 + 60_000
    assert abs(lived_ms + offset_ms - (left_ms + 9.5 * HOUR_MS)) < 60_000


def test_if_nothing_is_known_before_it_the_time_is_the_latest_possible():
    line = OverTimeline()
    line.exchange(60_000, 5_000_000, 900_000)
    line.welcomed(None, is_new=True)
    line.first(0)
    assert line.bound(900_000, 900_000) == (5_000_000 - 60_000 - 900_000 + 31, ERROR_MS_MAX)


def test_bounds_that_contradict_are_counted_and_say_nothing():
    line = OverTimeline()
    line.exchange(60_000, 5_000_000, 900_000)
    line.welcomed(9_000_000, is_new=True)
    assert line.bound(0, 0)[1] == ERROR_MS_MAX
    assert line.disagreements_total == 1


def test_answers_of_later_boots_that_say_less_change_nothing():
    line = OverTimeline()
    line.exchange(60_000, 5_000_000, 900_000)
    line.welcomed(3_000_000, is_new=True)
    known = line.bound(0, 1000)
    line.exchange(1000, 5_100_000, 900_000)  # the board was reset again
    assert line.bound(0, 1000) == known


# -- of a link -------------------------------------------------------------------------


def _batch(boot, base_s, stream=0, first_seq=0):
    return Batch(stream, first_seq, base_s, 0, bytes(8), boot)


def test_a_boot_that_was_known_when_it_lived_keeps_its_time():
    dating = Dating()
    dating.learn(TimeExchange(1000, 1010, 5, 0, BOOT, -1))
    (living,) = dating.timed([_batch(BOOT, 6)])
    dating.learn(TimeExchange(900_000, 900_010, 3, 0, BOOT, 700_000))
    dating.welcomed(BOOT, 0, is_new=False)
    (over,) = dating.timed([_batch(BOOT, 6)])
    assert over == living and not over.is_estimated


def test_one_that_was_not_is_estimated_with_what_its_welcome_says():
    dating = Dating()
    dating.welcomed(BOOT, 600_000, is_new=True)  # before its uptime is known
    dating.learn(TimeExchange(900_000, 900_000, 100, 0, BOOT, 100_000))
    (timed,) = dating.timed([_batch(BOOT, 50)])
    assert timed.is_estimated
    # It began after 600 s, and had run for 100 s before 800 s.
    assert abs(timed.base_ms - 700_000) < 300 and 50_000 <= timed.error_ms < 50_500


def test_events_that_come_first_are_dated_by_less():
    dating = Dating()
    dating.learn(TimeExchange(900_000, 900_000, 100, 0, BOOT, 400_000))
    dating.welcomed(BOOT, 700_000, is_new=False)
    (event,) = dating.timed([_batch(BOOT, 350, stream=1)])
    (reading,) = dating.timed([_batch(BOOT, 350)])
    assert event.error_ms > reading.error_ms
    for timed in (event, reading):  # at least 700 s, at most 750 s for both
        assert timed.base_ms - timed.error_ms <= 725_000 <= timed.base_ms + timed.error_ms
    assert abs(reading.base_ms - 725_000) < 300 and 25_000 <= reading.error_ms < 25_500


# -- in the store ----------------------------------------------------------------------


class NotingLink(RecordingLink):
    """One that notes what welcomes say of times."""

    def __init__(self):
        super().__init__()
        self.after_ms = []

    def welcome(self, boot, next_seq, after_ms=None):
        self.after_ms.append(after_ms)
        super().welcome(boot, next_seq)


ALERT = AlertRow("hot", 0, 1, "{sensor} is hot")


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path / "edge.db")
    made.link = NotingLink()
    yield made
    made.store.close()


def over(boot=LATER):
    return greeting(boot, alerts=(ALERT,), device="board-1")


def test_estimated_times_say_so(rig):
    rig.put(over())
    rig.ingest.run()
    rig.put(
        replace(batch(0, [1, 2], LATER), is_estimated=True, error_ms=90_000),
        replace(event_batch(0, [(1, EVENT_FIRED, 5)], LATER), is_estimated=True),
    )
    rig.ingest.run()
    assert (
        rig.rows("SELECT quality >> 2, error_ms > 89000 FROM reading") == [(TIME_ESTIMATED, 1)] * 2
    )
    assert rig.rows("SELECT DISTINCT time_quality FROM readings") == [("estimated",)]
    assert rig.rows("SELECT time_quality FROM events") == [("estimated",)]
    ((payload,),) = rig.rows("SELECT payload FROM sync_queue")
    assert json.loads(payload)["metadata"]["time_quality"] == "estimated"
    assert read_ledger(rig.path).is_balanced


def test_what_an_unset_clock_has_estimated_is_corrected_with_it(rig):
    rig.clock.is_set = False
    rig.ingest.run()
    rig.put(over())
    rig.ingest.run()
    rig.put(replace(batch(0, [1], LATER), is_estimated=True, error_ms=90_000))
    rig.ingest.run()
    assert rig.rows("SELECT quality >> 2 FROM reading") == [(TIME_UNSET,)]
    rig.clock.step(50_000)
    rig.clock.is_set = True
    for _ in range(9):
        rig.clock.advance(1000)
        rig.ingest.run()
    rows = rig.rows(
        "SELECT time_quality, utc_ms, time_error_ms FROM readings JOIN reading USING (id)"
    )
    assert rows[0][:2] == ("retimed", UTC_MS + 50_000) and rows[0][2] >= 90_000


def test_a_welcome_says_when_all_that_the_store_has_had_been_taken(rig):
    rig.put(greeting())
    rig.ingest.run()
    assert rig.link.after_ms == [None]  # it has nothing of the device
    rig.put(batch(0, [1, 2, 3]))
    rig.ingest.run()
    rig.put(over())
    rig.ingest.run()
    # The last is two milliseconds behind the base, and known to three.
    assert rig.link.after_ms == [None, MONOTONIC_MS + 2 - 3]
    # What is estimated is known to be behind that, however little else.
    rig.put(replace(batch(0, [1], LATER, base_utc_ms=UTC_MS + 90_000), error_ms=80_000))
    rig.put(greeting(LATER + 1))
    rig.ingest.run()
    assert rig.link.after_ms[2] == MONOTONIC_MS + 10_000
    rig.put(replace(batch(0, [1], LATER + 1), error_ms=ERROR_MS_MAX))  # says nothing
    rig.put(greeting(LATER + 2))
    rig.ingest.run()
    assert rig.link.after_ms[3] == MONOTONIC_MS + 10_000


@pytest.mark.parametrize("is_set", [True, False])
def test_after_a_boot_of_the_computer_that_is_known_if_the_clock_is_right(tmp_path, is_set):
    path = tmp_path / "edge.db"
    rig = Rig(path)
    rig.greet()
    rig.put(batch(0, [1]))
    rig.ingest.run()
    rig.store.close()
    again = Rig(path)
    again.clock.host_boot = "host-boot-2"
    again.clock.now_ms = 5000
    again.clock.now_utc_ms = UTC_MS + HOUR_MS
    again.clock.is_set = is_set
    again.store.close()
    again = _reopened(path, again.clock)
    again.put(over())
    again.ingest.run()
    (after_ms,) = again.link.after_ms
    again.store.close()
    if is_set:
        assert 5000 - HOUR_MS - 6 <= after_ms <= 5000 - HOUR_MS
    else:
        assert after_ms is None


def _reopened(path, clock):
    """Return a rig on that clock, whose store was made by another."""
    import random
    import threading

    from pyv_edge_agent.ingest import Ingest

    rig = Rig(path)
    rig.clock = clock
    rig.ingest = Ingest(
        rig.store, rig.pipeline, clock, random.Random(1), threading.Event(), commit_max=500
    )
    rig.link = NotingLink()
    return rig


def test_an_unset_clock_does_not_matter_while_the_computer_runs(rig):
    rig.clock.is_set = False
    rig.ingest.run()
    rig.put(greeting())
    rig.ingest.run()
    rig.put(batch(0, [1]))
    rig.ingest.run()
    rig.put(over())
    rig.ingest.run()
    assert rig.link.after_ms[1] == MONOTONIC_MS - 3


def test_a_boot_that_comes_late_is_balanced_and_the_one_after_it_is_the_latest(rig):
    rig.greet()
    rig.put(batch(0, [1, 2]))
    rig.ingest.run()
    rig.put(over())
    rig.ingest.run()
    rig.put(replace(batch(0, [1, 2, 3], LATER), is_estimated=True))
    rig.put(greeting(LATER + 1))
    rig.put(batch(0, [4], LATER + 1))
    rig.ingest.run()
    ledger = read_ledger(rig.path)
    assert ledger.is_balanced
    assert [(boot.stored, boot.sampled, boot.in_flight) for boot in ledger.boots] == [
        (2, 2, 0),
        (3, 3, 0),
        (1, 1, 0),
    ]


# -- what is asked of the board ---------------------------------------------------------


def over_rig(**settings):
    rig = LinkRig(flags=message.HELLO_OVER, **settings)
    rig.board.session.identity.end_s = 3
    return rig.up()


def test_a_boot_that_is_over_is_asked_for_nothing():
    rig = over_rig()
    answered = rig.link.command("reset", None, 0, 5000)
    rig.pump(300, ms=10)
    assert rig.board.requests == [] and rig.board.session.stale_total == 0
    assert not answered.done()
    rig.reboot(0x77777777, flags=0)
    rig.board.answer = (message.RESULT_DONE, 0, "")
    rig.board.greet_anew()
    rig.pump(100, ms=10)
    assert [request.op for request in rig.board.requests] == [RESET]
    assert answered.result().is_done


def test_it_is_not_given_settings(tmp_path):
    path = tmp_path / "board.json"
    path.write_text('{"device_id": "board-1"}')
    rig = over_rig(settings_file=path)
    rig.board.answer = (message.RESULT_DONE, 0, "")
    rig.pump(600, ms=20)
    assert rig.board.requests == []
    assert rig.link.status()["settings"]["pushes_total"] == 0


def test_the_status_of_a_link_says_so():
    rig = over_rig()
    assert rig.link.status()["earlier_boot"] is True
    assert rig.link.status()["boot"] == "12345678"
    assert OFFSET_MS and TIME_GOOD == 0


def test_frames_that_came_together_are_dated_together_for_two_seconds():
    dating = Dating()
    dating.learn(TimeExchange(1000, 1010, 5, 0, BOOT, -1))
    times = (6, 7, 8, 11, 12, 9)
    frames = [_batch(BOOT, uptime_s, first_seq=n) for n, uptime_s in enumerate(times)]
    apart = [one for frame in frames for one in dating.timed([frame])]
    together = dating.timed(frames)
    assert [(one.first_seq, one.count) for one in together] == [(0, 3), (3, 2), (5, 1)]
    blocks = [block for one in together for block in one.blocks]
    assert [records for _, records in blocks] == [one.records for one in apart]
    for (base_ms, _), alone in zip(blocks, apart, strict=True):
        assert abs(base_ms - alone.base_ms) <= 1
    # No bound may be smaller than what it would be of each by itself, nor much larger.
    for whole, first, end in ((together[0], 0, 3), (together[1], 3, 5)):
        most = max(one.error_ms for one in apart[first:end])
        assert most <= whole.error_ms <= most + 2


def _record(span_ms):
    return pack(RECORD_FORMAT, 0, span_ms >> 16 << 2, span_ms & 0xFFFF, 1)


def test_frames_of_one_block_are_dated_by_their_records():
    # A block of a board's ring covers up to seventy minutes, and its frames have one base time.
    dating = Dating()
    dating.learn(TimeExchange(1000, 1010, 5, 0, BOOT, -1))
    frames = [Batch(0, n, 6, 0, _record(n * 240_000), BOOT) for n in range(16)]
    apart = [one for frame in frames for one in dating.timed([frame])]
    assert dating.timed(frames) == apart
    assert len({one.error_ms for one in apart}) == 16


def test_a_base_that_goes_back_narrows_no_bound():
    dating = Dating()
    dating.learn(TimeExchange(1000, 1010, 5, 0, BOOT, -1))
    long = Batch(0, 0, 6, 0, _record(0) + _record(600_000), BOOT)
    frames = [long, Batch(0, 2, 7, 0, _record(0), BOOT)]
    apart = [one for frame in frames for one in dating.timed([frame])]
    assert dating.timed(frames) == apart and apart[0].error_ms > 100
