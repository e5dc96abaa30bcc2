"""Ingest: in this order and no other, from a link's event to the store to the acknowledgement."""

import random
import sqlite3
import threading

import pytest
from host.fakes import UTC_MS, FakeClock, RecordingLink, batch, event_batch, greeting
from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.inbox import EVENTS_MAX
from pyv_edge_agent.ingest import UNCOMMITTED_MAX, Ingest
from pyv_edge_agent.pipeline import Pipeline
from pyv_edge_agent.recent import Recent
from pyv_edge_agent.store import Limits, SQLiteStore, Upkeep, read_ledger
from pyv_edge_agent.submission import Feed, Sample, Submission, Verdict
from pyv_edge_agent.types import SensorReading
from pyv_edge_core import message
from pyv_edge_core.channel_table import AlertRow
from pyv_edge_core.host_event import Loss, Report
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.rule import read_rules

BOOT = 0xABCD1234
DEVICE = {"name": "t1", "unit": "Cel"}


class Rig:
    """An Ingest over a real store, with links that only record; with `limits`, it is kept up."""

    def __init__(
        self, path, commit_max=500, privacy=None, rules=(), limits=None, pipeline=Pipeline
    ):
        self.path = path
        self.clock = FakeClock()
        self.wake = threading.Event()
        self.store = SQLiteStore(path)
        buffers = {"porch": Recent(100), "t1": Recent(100)}
        alerting = Alerting(read_rules(rules), self.store.rule_state)
        self.put_back = []
        self.pipeline = pipeline(privacy or PrivacyPolicy(), buffers, alerting)
        self.upkeep = None if limits is None else Upkeep(self.store, limits)
        self.ingest = Ingest(
            self.store,
            self.pipeline,
            self.clock,
            random.Random(1),
            self.wake,
            commit_max=commit_max,
            upkeep=self.upkeep,
        )
        self.link = RecordingLink()

    def put(self, *events, link=None):
        for event in events:
            assert self.ingest.put(link or self.link, event)

    def greet(self):
        self.put(greeting())
        self.ingest.run()
        return self.link.take_calls()

    def rows(self, query="SELECT seq, value FROM reading ORDER BY id"):
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def fill_up(self):
        pages = self.store._writer.execute("PRAGMA page_count").fetchone()[0]
        self.store._writer.execute(f"PRAGMA max_page_count = {pages}")

    def make_room(self):
        self.store._writer.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path / "edge.db")
    yield made
    made.store.close()


# -- a fault of this program --------------------------------------------------------


class Stumbling(Pipeline):
    """A pipeline that stumbles over a value, in the middle of what it does."""

    def add_samples(self, source, samples, *more):
        super().add_samples(source, samples, *more)
        if samples[0].value == 666:
            raise ZeroDivisionError("stumbled")


def test_what_a_fault_has_left_half_done_is_given_up_and_all_goes_on(tmp_path, log):
    rig = Rig(tmp_path / "edge.db", pipeline=Stumbling)
    verdicts = []

    def submit(value):
        settle = lambda verdict, reason: verdicts.append(verdict)  # noqa: E731
        assert feed.put(Submission([Sample("", value)], settle=settle))

    feed = Feed(DEVICE, rig.ingest.put, rig.store.receipts.positions, rig.clock)
    rig.greet()
    rig.put(batch(0, [1, 2]))
    submit(1.0)
    submit(666.0)
    submit(2.0)
    with pytest.raises(ZeroDivisionError):
        rig.ingest.run()
    assert rig.rows() == []
    rig.ingest.run()
    assert verdicts == [Verdict.GIVEN_UP, Verdict.GIVEN_UP, Verdict.STORED]
    assert rig.rows("SELECT value FROM reading") == [(2.0,)]
    assert rig.ingest.discarded_total == 4
    assert rig.ingest.commit_failures_total == 1
    assert rig.ingest.problem == ""
    assert log.having("a fault of this program, see the log; 4 readings in memory are given up")
    rig.greet()
    rig.put(batch(0, [1, 2]))  # the board sends again what was not acknowledged
    rig.ingest.run()
    assert rig.rows("SELECT value FROM reading WHERE boot_id = 1") == [(1,), (2,)]
    rig.store.close()
    assert read_ledger(rig.path).is_balanced


def test_fault_that_comes_again_and_again_is_a_problem(tmp_path):
    rig = Rig(tmp_path / "edge.db", pipeline=Stumbling)
    feed = Feed(DEVICE, rig.ingest.put, rig.store.receipts.positions, rig.clock)
    for _ in range(3):
        feed.put(Submission([Sample("", 666.0)]))
        with pytest.raises(ZeroDivisionError):
            rig.ingest.run()
    assert "a fault of this program" in rig.ingest.problem
    feed.put(Submission([Sample("", 666.0)]))
    feed.put(Submission([Sample("", 1.0)], settle=lambda *told: rig.put_back.append(told)))
    with pytest.raises(ZeroDivisionError):
        rig.ingest.end()
    assert rig.put_back == [(Verdict.GIVEN_UP, "the agent stops")]
    rig.store.close()


# -- greetings ---------------------------------------------------------------------


def test_new_board_is_welcomed_at_zero(rig):
    assert rig.greet() == [("welcome", BOOT, (0, 0))]
    assert rig.rows("SELECT device.name, alias, boot, reset_cause FROM boot, device") == [
        ("board-1", "porch", BOOT, "power")
    ]
    assert rig.rows("SELECT name, sensor_name, unit, exponent FROM channel") == [
        ("temp", "porch.temp", "Cel", -2)
    ]


def test_unknown_reset_cause_is_no_error(rig):
    rig.put(greeting(reset_cause=200))
    rig.ingest.run()
    assert rig.rows("SELECT reset_cause FROM boot") == [("unknown",)]


def test_board_that_greets_again_resumes_at_what_is_durable(rig):
    rig.greet()
    # Both in one go: what came before the greeting has to be committed for it.
    rig.put(batch(0, [1, 2, 3]), greeting())
    rig.ingest.run()
    calls = rig.link.take_calls()
    assert calls == [("committed", BOOT, 0, 3), ("welcome", BOOT, (3, 0))]
    assert rig.rows() == [(0, 1), (1, 2), (2, 3)]


def test_board_is_not_welcomed_while_the_store_fails(rig, log):
    rig.greet()
    rig.fill_up()
    rig.put(batch(0, list(range(2000))), greeting())
    rig.ingest.run()
    assert rig.link.take_calls() == []
    rig.make_room()
    rig.ingest.run()
    assert rig.link.take_calls() == [("committed", BOOT, 0, 2000), ("welcome", BOOT, (2000, 0))]


def test_greeting_wakes_the_agent(rig):
    rig.put(greeting())
    assert rig.wake.is_set()


def test_commit_is_due_an_interval_after_the_last_or_after_the_oldest_reading(tmp_path):
    rig = Rig(tmp_path / "edge.db", commit_max=4)
    rig.greet()
    now_ms = rig.clock.monotonic_ms()
    utc_ms = rig.clock.utc_ms()
    count = 0
    assert rig.ingest.due_ms(now_ms, 1000) == now_ms + 1000  # nothing waits
    for age_ms, due_ms in ((-700, 1000), (0, 1000), (50, 950), (150, 850), (5000, 800)):
        rig.ingest.run()
        rig.wake.clear()
        rig.put(batch(count, [1], base_utc_ms=utc_ms - age_ms))
        assert rig.wake.is_set(), age_ms  # it may be due sooner than it was
        assert rig.ingest.due_ms(now_ms, 1000) == now_ms + due_ms, age_ms
        rig.wake.clear()
        rig.put(batch(count + 1, [1]))
        assert not rig.wake.is_set(), age_ms
        count += 2
    assert rig.ingest.due_ms(now_ms, 100) == now_ms + 50  # of a short interval, half
    rig.put(batch(count, [1, 2, 3]))
    assert rig.wake.is_set()
    assert rig.ingest.due_ms(now_ms, 1000) == now_ms  # commit_max readings wait
    rig.ingest.run()
    assert rig.ingest.due_ms(now_ms, 1000) == now_ms + 1000
    rig.store.close()


# -- readings ----------------------------------------------------------------------


def test_readings_are_committed_and_then_acknowledged(rig):
    rig.put(greeting(alerts=[AlertRow("hot", 0, 2, "{sensor} is {value} {unit}")]))
    rig.ingest.run()
    rig.link.take_calls()
    rig.put(batch(0, [1, 2]), batch(2, [3]), event_batch(0, [(1, 1, 3100)]))
    rig.ingest.run()
    assert rig.rows("SELECT seq, value FROM reading ORDER BY id") == [(0, 1), (1, 2), (2, 3)]
    assert rig.rows("SELECT seq, rule, value, message FROM event") == [
        (0, "hot", 31.0, "porch.temp is 31 Cel")
    ]
    assert sorted(rig.link.take_calls()) == [
        ("committed", BOOT, 0, 3),
        ("committed", BOOT, 1, 1),
    ]


def test_acknowledgement_finds_its_readings_durable(rig):
    seen = []

    class Asking(RecordingLink):
        def committed(self, boot, stream, next_seq):
            seen.append((next_seq, rig.rows("SELECT count(*) FROM reading")))

    link = Asking()
    rig.put(greeting(), link=link)
    rig.put(batch(0, [1, 2]), link=link)
    rig.ingest.run()
    assert seen == [(2, [(2,)])]


def test_commit_that_fails_acknowledges_nothing_and_keeps_everything(rig, log):
    rig.greet()
    rig.fill_up()
    rig.put(batch(0, list(range(2000))))
    rig.ingest.run()
    rig.ingest.run()
    assert rig.link.take_calls() == []
    assert rig.rows("SELECT count(*) FROM reading") == [(0,)]
    failures = rig.ingest.commit_failures_total
    assert failures >= 2
    assert "full" in rig.ingest.problem
    assert len(log.warnings()) == 1  # not one for each attempt
    rig.make_room()
    rig.put(batch(2000, [7]))
    rig.ingest.run()
    assert rig.link.take_calls() == [("committed", BOOT, 0, 2001)]
    assert rig.rows("SELECT count(*), max(seq) FROM reading") == [(2001, 2000)]
    assert rig.ingest.problem == ""
    assert log.warnings()[-1] == f"storing again after {failures} failed commits"
    assert read_ledger(rig.path).is_balanced


def test_nothing_is_dated_by_a_clock_that_was_set_while_that_cannot_be_stored(rig):
    rig.greet()
    rig.fill_up()
    rig.put(batch(0, list(range(2000))))
    rig.ingest.run()
    rig.clock.step(3_600_000)
    rig.put(batch(2000, [7]))
    rig.ingest.run()
    assert rig.ingest.problem
    rig.make_room()
    rig.ingest.run()
    assert rig.rows("SELECT utc_ms - %d FROM reading WHERE seq >= 1999 ORDER BY id" % UTC_MS) == [
        (1999,),
        (3_600_000,),
    ]


def test_what_comes_during_a_commit_is_dated_by_the_clock_as_it_is_then(tmp_path):
    rig = Rig(tmp_path / "edge.db", commit_max=2)

    class Late(RecordingLink):
        """Hears of another reading, taken after the clock was set, while a commit is made."""

        def committed(self, boot, stream, next_seq):
            super().committed(boot, stream, next_seq)
            if next_seq == 2:
                rig.clock.step(3_600_000)
                rig.put(batch(2, [7]))

    rig.link = Late()
    rig.greet()
    rig.put(batch(0, [5, 6]))
    rig.ingest.run()
    rig.ingest.run()
    dates = [(0,), (1,), (3_600_000,)]
    assert rig.rows("SELECT utc_ms - %d FROM reading ORDER BY id" % UTC_MS) == dates
    rig.store.close()


def test_polled_readings_survive_a_failed_commit(rig):
    for _ in range(3):
        rig.ingest.add_polled(DEVICE, SensorReading("t1", UTC_MS / 1000, 5.0), 0)
    rig.fill_up()
    for _ in range(500):
        rig.ingest.add_polled(DEVICE, SensorReading("t1", UTC_MS / 1000, 5.0), 0)
    rig.ingest.run()
    assert rig.rows("SELECT count(*) FROM reading") == [(0,)]
    rig.make_room()
    rig.ingest.run()
    assert rig.rows("SELECT count(*), max(seq) FROM reading") == [(503, 502)]
    assert read_ledger(rig.path).is_balanced


def test_file_is_opened_again_when_it_was_refused_for_a_minute_and_memory_is_kept(tmp_path):
    rig = Rig(tmp_path / "edge.db", limits=Limits())
    rig.ingest.add_polled(DEVICE, SensorReading("t1", UTC_MS / 1000, 5.0), 0)
    rig.store._writer.execute("PRAGMA query_only = ON")
    for _ in range(59):
        rig.ingest.run()
        rig.clock.advance(1000)
    assert "readonly" in rig.ingest.problem
    rig.clock.advance(1000)
    rig.ingest.run()
    assert (rig.ingest.problem, rig.ingest.discarded_total) == ("", 0)
    assert rig.rows() == [(0, 5.0)]
    assert read_ledger(rig.path).is_balanced
    rig.store.close()


def test_nothing_more_is_taken_while_memory_is_full(rig):
    rig.greet()
    rig.fill_up()
    most = UNCOMMITTED_MAX
    size = 4000
    for first in range(0, most + size, size):
        rig.put(batch(first, [1] * size))
    for _ in range(20):
        rig.ingest.run()
    assert not rig.ingest.has_room
    assert len(rig.ingest._batch) < most + size
    rig.make_room()
    for _ in range(20):
        rig.ingest.run()
    assert rig.rows("SELECT count(*) FROM reading") == [(most + size,)]
    assert rig.ingest.has_room


def test_full_inbox_refuses(rig):
    for _ in range(EVENTS_MAX):
        rig.put(batch(0, []))
    assert not rig.ingest.put(rig.link, batch(0, []))


def test_commits_are_split_at_commit_max(tmp_path):
    rig = Rig(tmp_path / "edge.db", commit_max=5)
    rig.greet()
    before = rig.store.commits_total
    rig.put(*(batch(first, [1, 2, 3]) for first in range(0, 12, 3)))
    rig.ingest.run()
    assert rig.store.commits_total == before + 2
    assert [call[3] for call in rig.link.take_calls()] == [6, 12]
    rig.store.close()


def test_upkeep_is_not_forgotten_while_more_keeps_coming(tmp_path):
    rig = Rig(tmp_path / "edge.db", commit_max=500, limits=Limits())
    more = iter(range(500, 50_000, 500))

    class Eager(RecordingLink):
        """Has another batch for each that was acknowledged, as a backlog of a board does."""

        def committed(self, *_):
            rig.put(batch(next(more), [1] * 500))

    rig.link = Eager()
    rig.greet()
    rig.put(batch(0, [1] * 500))
    for _ in range(80):
        rig.ingest.run()
        rig.clock.advance(10)
    assert rig.ingest._inbox.is_urgent
    assert rig.rows("SELECT count(*) FROM block") == [(9,)]  # of 80 * 500 readings
    assert rig.upkeep.rollups.waiting_count < 4096
    rig.store.close()


# -- what is out of place ----------------------------------------------------------


@pytest.mark.parametrize("first_seq", [0, 1, 3])
def test_misplaced_batch_restarts_the_link_and_stores_nothing(rig, first_seq):
    rig.greet()
    rig.put(batch(0, [1, 2]))
    rig.ingest.run()
    rig.link.take_calls()
    rig.put(batch(first_seq, [9]))
    rig.ingest.run()
    assert rig.link.take_calls() == [("restart",)]
    assert rig.rows() == [(0, 1), (1, 2)]


def test_batch_of_a_board_that_did_not_greet_restarts_the_link(rig):
    rig.put(batch(0, [1]))
    rig.ingest.run()
    assert rig.link.take_calls() == [("restart",)]
    assert rig.rows() == []
    assert rig.pipeline.misplaced_total == 1


def test_batch_of_another_boot_restarts_the_link(rig):
    rig.greet()
    rig.put(batch(0, [1], boot=BOOT + 1))
    rig.ingest.run()
    assert rig.link.take_calls() == [("restart",)]
    assert rig.rows() == []


def test_misplaced_loss_restarts_the_link(rig):
    rig.greet()
    rig.put(Loss(0, 1, 5, 9, BOOT))
    rig.ingest.run()
    assert rig.link.take_calls() == [("restart",)]
    assert rig.rows("SELECT * FROM gap") == []


def test_loss_is_stored_acknowledged_and_logged(rig, log):
    rig.greet()
    rig.put(batch(0, [1]), Loss(0, 1, 1, 10, BOOT), batch(11, [2]))
    rig.ingest.run()
    assert rig.link.take_calls() == [("committed", BOOT, 0, 12)]
    assert rig.rows("SELECT stream, first_seq, last_seq, count, cause FROM gaps") == [
        ("telemetry", 1, 10, 10, "overwritten")
    ]
    (line,) = log.warnings()
    assert line == (
        "board porch: 10 readings of its telemetry are missing, up to number 10:"
        " its memory was full"
    )
    assert read_ledger(rig.path).is_balanced


def test_denied_readings_are_acknowledged_and_counted(tmp_path):
    rig = Rig(tmp_path / "edge.db", privacy=PrivacyPolicy([("porch.*", "drop")]))
    rig.greet()
    rig.put(batch(0, [1, 2]))
    rig.ingest.run()
    assert rig.link.take_calls() == [("committed", BOOT, 0, 2)]
    ledger = read_ledger(rig.path)
    assert ledger.is_balanced
    assert (ledger.total("denied"), ledger.total("stored")) == (2, 0)
    rig.store.close()


def test_boot_that_comes_on_a_second_link_is_stored_once(rig):
    # A cable moved to another port, or two ways to one board: what was still on
    # its way through the first link must not be stored beside the same from the second.
    other = RecordingLink("porch")
    rig.greet()
    rig.put(greeting(), link=other)
    rig.put(batch(0, [1, 2]))
    rig.put(batch(0, [1, 2]), link=other)
    rig.ingest.run()
    assert rig.rows() == [(0, 1), (1, 2)]
    assert read_ledger(rig.path).is_balanced


def test_new_boot_on_a_link_ends_the_one_before(rig):
    rig.greet()
    rig.put(greeting(boot=77))
    rig.put(batch(0, [1], boot=77))
    rig.ingest.run()
    assert rig.link.take_calls() == [("welcome", 77, (0, 0)), ("committed", 77, 0, 1)]


# -- reports -----------------------------------------------------------------------


def vitals(sampled, dropped=0, flags=0):
    numbers = dict.fromkeys(message.shape(message.VITALS)._fields, 0)
    numbers.update(sampled_total=sampled, dropped_total=dropped, flags=flags)
    return Report(message.VITALS, message.shape(message.VITALS)(**numbers), BOOT)


def test_vitals_are_stored_and_say_what_was_sampled(rig):
    rig.greet()
    rig.put(batch(0, [1, 2]), vitals(50, 3, message.VITALS_FINISHED))
    rig.ingest.run()
    assert rig.rows("SELECT sampled_total, dropped_total, is_finished FROM boot") == [(50, 3, 1)]
    assert rig.ingest.boots.sampled_total == 50
    ledger = read_ledger(rig.path)
    assert (ledger.total("sampled"), ledger.total("in_flight")) == (50, 48)
    assert ledger.is_balanced


def test_next_boot_tells_what_the_one_before_had_sampled(rig):
    rig.greet()
    rig.put(batch(0, [1, 2]), vitals(5))
    again = greeting(boot=77, last=(BOOT, 50, 8))
    rig.put(again, again, batch(0, [3], boot=77))
    rig.ingest.run()
    assert rig.rows("SELECT sampled_total, denied_total, is_end_known FROM boot") == [
        (50, 8, 1),
        (0, 0, 0),
    ]
    assert rig.ingest.boots.sampled_total == 51
    ledger = read_ledger(rig.path)
    assert (ledger.total("sampled"), ledger.total("reset"), ledger.total("denied")) == (51, 40, 8)
    assert ledger.is_balanced


def test_boot_that_says_it_has_ended_itself_is_not_believed(rig):
    rig.put(greeting(boot=77, last=(77, 50, 0)))
    rig.ingest.run()
    assert rig.rows("SELECT sampled_total, is_end_known FROM boot") == [(0, 0)]


def test_sampled_total_is_at_least_what_arrived(rig):
    rig.greet()
    rig.put(vitals(1), batch(0, [1, 2, 3]))
    rig.ingest.run()
    rig.ingest.add_polled(DEVICE, SensorReading("t1", UTC_MS / 1000, 5.0), 0)
    assert rig.ingest.boots.sampled_total == 4


def test_log_of_a_board_is_not_stored(rig):
    rig.greet()
    rig.put(Report(message.LOG, message.shape(message.LOG)(0, 1, "sensor 3 is gone"), BOOT))
    rig.ingest.run()
    assert rig.rows("SELECT sampled_total, vitals_utc_ms FROM boot") == [(0, None)]


def test_boards_that_swap_ports_are_both_acknowledged(rig):
    other_boot = 0x77778888
    other = RecordingLink("other")
    rig.greet()
    rig.put(greeting(boot=other_boot), link=other)
    rig.ingest.run()
    # Each greets where the other one was.
    rig.put(greeting(boot=BOOT), link=other)
    rig.put(greeting(boot=other_boot))
    rig.ingest.run()
    rig.link.take_calls(), other.take_calls()
    rig.put(batch(0, [1], boot=other_boot))
    rig.put(batch(0, [2, 3]), link=other)
    rig.ingest.run()
    assert rig.link.take_calls() == [("committed", other_boot, 0, 1)]
    assert other.take_calls() == [("committed", BOOT, 0, 2)]


def test_polled_readings_are_numbered_and_accounted_for(rig):
    for value in (1.5, 2.5):
        rig.ingest.add_polled(DEVICE, SensorReading("t1", UTC_MS / 1000, value), 0)
    rig.ingest.run()
    assert rig.rows("SELECT sensor, value, seq, device FROM readings") == [
        ("t1", 1.5, 0, "t1"),
        ("t1", 2.5, 1, "t1"),
    ]
    (boot,) = read_ledger(rig.path).boots
    assert (boot.sampled, boot.stored, boot.in_flight, boot.is_balanced) == (2, 2, 0, True)


def test_commit_of_nothing_is_no_transaction(rig):
    before = rig.store.commits_total
    rig.ingest.run()
    assert rig.ingest.commit()
    assert rig.store.commits_total == before
    assert rig.ingest.last_commit_ms is None
