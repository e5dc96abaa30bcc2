"""TimeBase: UTC by a held offset, steps as rows, and a time for rules that never jumps."""

import sqlite3

import pytest
from host.fakes import MONOTONIC_MS, OFFSET_MS, UTC_MS, FakeClock
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.store import SQLiteStore, TimeSegment, TimeSegments
from pyv_edge_agent.time_base import STEP_MS, TimeBase

HOUR_MS = 3_600_000


class Rig:
    def __init__(self, path):
        self.path = path
        self.clock = FakeClock()
        self.stores = []

    def start(self, run_id="1", **more):
        for store in self.stores:
            store.close()
        self.stores.append(SQLiteStore(self.path))
        return TimeBase(TimeSegments(self.stores[-1]), self.clock, run_id, **more)

    def look(self, base):
        """Look, and adopt what is due, as the agent's thread does with nothing uncommitted."""
        is_due = base.look()
        if is_due:
            base.adopt()
        return is_due

    def rows(self, columns="step_ms, is_synchronised", table="time_segment"):
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(f"SELECT {columns} FROM {table} ORDER BY id").fetchall()
        finally:
            connection.close()

    def fill_up(self):
        self.stores[-1]._writer.execute("PRAGMA query_only = ON")

    def make_room(self):
        self.stores[-1]._writer.execute("PRAGMA query_only = OFF")


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path / "edge.db")
    yield made
    for store in made.stores:
        store.close()


# -- an offset that holds ----------------------------------------------------------


def test_first_start_begins_a_segment(rig):
    base = rig.start()
    assert base.segment == TimeSegment(
        1, "host-boot-1", MONOTONIC_MS, OFFSET_MS, OFFSET_MS, True, MONOTONIC_MS
    )
    assert base.utc_ms() == base.rule_ms() == UTC_MS
    assert (base.steps_total, base.error_ms, base.is_synchronised) == (0, 1, True)
    assert rig.rows() == [(None, 1)]


def test_clock_that_is_left_alone_begins_no_other(rig):
    base = rig.start()
    for _ in range(1000):
        rig.clock.advance(1000)
        assert not rig.look(base)
    assert base.utc_ms() == rig.clock.utc_ms()
    again = rig.start()
    assert again.segment == base.segment
    assert len(rig.rows()) == 1


def test_small_deviations_are_in_the_bound_and_do_not_add_up(rig):
    base = rig.start()
    for _ in range(100):
        rig.clock.advance(1000)
        rig.clock.step(1)
        rig.look(base)
        assert abs(base.utc_ms() - rig.clock.utc_ms()) <= base.error_ms <= STEP_MS + 1
    assert [step for step, _ in rig.rows()[1:]] == [STEP_MS + 1] * (100 // (STEP_MS + 1))


def test_thread_that_is_held_up_between_two_clocks_sees_no_step(rig):
    base = rig.start()
    rig.clock.advance(1000)
    plain = rig.clock.utc_ms

    def slow():
        rig.clock.advance(40)
        now_ms = plain()
        rig.clock.advance(40)
        return now_ms

    rig.clock.utc_ms = slow
    assert not rig.look(base)
    assert base.error_ms == 1
    rig.clock.step(5000)  # but one that is greater than the doubt
    assert rig.look(base)
    assert abs(base.utc_ms() - plain()) <= base.error_ms
    assert base.error_ms >= 40


# -- steps -------------------------------------------------------------------------


@pytest.mark.parametrize("step_ms", [STEP_MS + 1, -STEP_MS - 1, HOUR_MS, -400 * 24 * HOUR_MS])
def test_step_begins_a_segment_and_is_recorded(rig, log, step_ms):
    base = rig.start()
    rig.clock.advance(5000)
    rig.clock.step(step_ms)
    assert base.utc_ms() == UTC_MS + 5000  # until it is adopted
    assert rig.look(base)
    assert base.utc_ms() == rig.clock.utc_ms()
    assert not rig.look(base)
    assert rig.rows() == [(None, 1), (step_ms, 1)]
    assert base.steps_total == 1
    (line,) = log.warnings()
    assert line.startswith(f"the clock was set by {step_ms / 1000:.3f} s, ")


def test_view_tells_when_and_by_how_much(rig):
    base = rig.start()
    rig.clock.is_set = False
    rig.clock.advance(5000)
    rig.clock.step(-1500)
    assert rig.look(base)
    assert rig.rows("time, step_ms, synchronised, time_quality", "clock_steps") == [
        ("2026-05-28T20:26:40.000Z", None, "yes", "good"),
        ("2026-05-28T20:26:43.500Z", -1500, "no", "unset"),
    ]


def test_time_of_rules_never_jumps(rig):
    base = rig.start()
    before = base.rule_ms()
    for step_ms in (HOUR_MS, -5 * HOUR_MS, 77):
        rig.clock.advance(1000)
        rig.clock.step(step_ms)
        assert rig.look(base)
        assert base.rule_ms() == before + 1000
        assert base.rule_ms() + base.segment.rule_shift_ms == rig.clock.utc_ms()
        before = base.rule_ms()
    rig.clock.advance(1000)
    again = rig.start()  # nor over a restart of the agent
    assert again.rule_ms() == before + 1000


def test_many_steps_are_one_warning_a_minute(rig, log):
    base = rig.start()
    for _ in range(120):
        rig.clock.advance(1000)
        rig.clock.step(1000)
        assert rig.look(base)
    assert base.steps_total == 120
    assert len(log.warnings()) == 2
    assert len(rig.rows()) == 121


def test_segment_that_cannot_be_stored_is_not_in_force(rig):
    base = rig.start()
    rig.clock.advance(1000)
    rig.clock.step(HOUR_MS)
    rig.fill_up()
    for _ in range(2):
        assert base.look()
        with pytest.raises(StoreError):
            base.adopt()
        assert base.utc_ms() == UTC_MS + 1000
    assert base.steps_total == 0
    rig.make_room()
    assert rig.look(base)
    assert base.utc_ms() == UTC_MS + 1000 + HOUR_MS
    assert base.steps_total == 1


def test_clock_that_is_lost_before_its_segment_begins_is_not_known_to_be_right(rig):
    base = rig.start()
    rig.clock.step(HOUR_MS)
    assert base.look()
    rig.clock.is_set = False
    base.adopt()
    assert not base.is_synchronised


# -- whether it is right -----------------------------------------------------------


def test_clock_that_nobody_has_set_is_told(rig, log):
    rig.clock.is_set = False
    base = rig.start()
    assert not base.is_synchronised
    assert rig.rows() == [(None, 0)]
    (line,) = log.warnings()
    assert line.startswith("the clock of this computer is not known to be right")


def test_trusted_clock_is_not_asked_about(rig, log):
    rig.clock.is_set = False
    base = rig.start(source="trusted")
    assert base.is_synchronised
    assert log.warnings() == []


def test_synchronisation_without_a_step_begins_a_segment_too(rig):
    rig.clock.is_set = False
    base = rig.start()
    rig.clock.advance(1000)
    rig.clock.is_set = True
    assert rig.look(base)
    assert base.is_synchronised
    assert base.steps_total == 0
    rig.clock.advance(1000)
    rig.clock.is_set = False
    assert rig.look(base)
    assert rig.rows() == [(None, 0), (0, 1), (0, 0)]


def test_clock_known_to_be_right_since(rig):
    rig.clock.is_set = False
    base = rig.start()
    assert base.segment.drift_ms(0) == 0  # it may be off by anything
    rig.clock.advance(HOUR_MS)
    rig.clock.is_set = True
    rig.look(base)
    rig.clock.advance(1000)
    rig.clock.step(50)
    rig.look(base)
    right_ms = MONOTONIC_MS + HOUR_MS
    assert base.segment.drift_ms(right_ms) == 0
    # What was taken an hour before is dated by a clock that nobody corrected.
    assert 1800 <= base.segment.drift_ms(right_ms - HOUR_MS) <= 1802


# -- boots of the computer ---------------------------------------------------------


def test_other_boot_of_the_computer_begins_a_segment_that_is_no_step(rig):
    rig.start()
    rig.clock.advance(HOUR_MS)
    rig.clock.host_boot, rig.clock.now_ms = "host-boot-2", 5000
    base = rig.start()
    assert base.utc_ms() == base.rule_ms() == rig.clock.utc_ms()
    assert base.steps_total == 0
    assert rig.rows() == [(None, 1), (None, 1)]


def test_step_between_two_runs_is_recorded(rig):
    rig.start()
    rig.clock.advance(1000)
    rig.clock.step(-7000)
    base = rig.start()
    assert base.steps_total == 1
    assert rig.rows() == [(None, 1), (-7000, 1)]


def test_boot_without_a_name_is_never_an_earlier_one(rig):
    rig.clock.host_boot = ""
    rig.start("a")
    rig.clock.advance(1000)
    base = rig.start("b")
    assert base.segment.id == 2
    assert rig.rows("host_boot") == [("run-a",), ("run-b",)]


# -- uploads -----------------------------------------------------------------------


def test_uploads_wait_for_the_clock_and_not_for_ever(rig):
    rig.clock.is_set = False
    base = rig.start()
    assert base.upload_wait(300_000) == "the clock of this computer is not set yet"
    assert base.upload_wait(0) == ""
    rig.clock.advance(299_999)
    assert base.upload_wait(300_000)
    rig.clock.advance(1)
    assert base.upload_wait(300_000) == ""
    rig.clock.advance(HOUR_MS)
    rig.clock.is_set = True
    rig.look(base)
    assert base.upload_wait(300_000) == "times of readings are being corrected"
    while base.retime():
        pass
    assert base.upload_wait(300_000) == ""


def test_uploads_do_not_wait_while_the_clock_is_right(rig):
    assert rig.start().upload_wait(300_000) == ""


def test_disk_that_fails_behind_the_commit_of_a_segment_leaves_nothing_to_the_wrong_one(rig):
    base = rig.start()
    before = base.segment
    segments, begin = base._segments, base._segments.begin

    def begin_and_fail(*args, **more):
        begin(*args, **more)
        raise StoreError("disk I/O error")

    segments.begin = begin_and_fail
    rig.clock.is_set = False
    assert base.look()
    with pytest.raises(StoreError):
        base.adopt()
    segments.begin = begin
    rig.clock.is_set = True  # as it was before: the segment in force would hold, but for the store
    assert rig.look(base)
    assert (base.segment.id, base.segment.offset_ms) == (before.id + 2, before.offset_ms)
    assert base.is_synchronised
    assert rig.rows() == [(None, 1), (0, 0), (0, 1)]
    assert not rig.look(base)
