"""What adapters submit: stored once, settled after the commit, known again."""

import pytest
from host.fakes import UTC_MS, batch
from host.test_ingest import Rig
from pyv_edge_agent.errors import SubmissionError
from pyv_edge_agent.inbox import EVENTS_MAX, SHARE_MIN, SUBMITTED_MAX
from pyv_edge_agent.store import receipt
from pyv_edge_agent.store.receipt import SourceId
from pyv_edge_agent.submission import (
    CHANNELS_MAX,
    NAME_SIZE_MAX,
    SAMPLES_MAX,
    Feed,
    Sample,
    Submission,
    Verdict,
    receipt_key,
)
from pyv_edge_core.reading import QUALITY_BAD

DEVICE = {"name": "meter", "ingest_type": "mqtt", "unit": "W"}
KEY = receipt_key(b"topic", b"7")


class Site(Rig):
    """An ingest on a store of its own, which can be killed and started again."""

    def __init__(self, path):
        self.verdicts = []
        self.start(path)

    def start(self, path):
        super().__init__(path)
        self.feed = Feed(DEVICE, self.ingest.put, self.store.receipts.positions, self.clock)

    def kill(self):
        self.store.abandon()
        self.start(self.path)

    def submit(self, *values, key=b"", **more):
        samples = [Sample("", one, unit="W") if type(one) is float else one for one in values]
        told = self.verdicts.append
        return self.feed.put(Submission(samples, key, settle=lambda *args: told(args), **more))

    def seen(self, columns="sensor, value"):
        return self.rows(f"SELECT {columns} FROM readings ORDER BY id")


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "edge.db")
    yield made
    made.store.close()


def test_submission_is_settled_when_it_is_committed(site):
    assert site.submit(1.5, 2.5)
    assert site.verdicts == []
    site.ingest.run()
    assert site.verdicts == [(Verdict.STORED, "")]
    assert site.seen() == [("meter", 1.5), ("meter", 2.5)]


def test_channels_are_named_behind_the_device_and_kept_apart_by_unit(site):
    site.submit(
        Sample("temp", 20.0, unit="Cel"),
        Sample("temp", 68.0, unit="[degF]"),
        Sample("hum", 40.0),
        Sample("temp", 21.0, unit="Cel"),
    )
    site.ingest.run()
    assert site.seen("sensor, unit, value, channel") == [
        ("meter.temp", "Cel", 20.0, "temp"),
        ("meter.temp", "[degF]", 68.0, "temp"),
        ("meter.hum", "", 40.0, "hum"),
        ("meter.temp", "Cel", 21.0, "temp"),
    ]


def test_time_is_the_senders_or_that_of_arrival_and_says_which(site):
    site.submit(Sample("", 1.0, UTC_MS - 5000), Sample("", 2.0))
    site.clock.advance(700)  # waiting for the commit is not its time
    site.ingest.run()
    assert site.seen("time_quality") == [("sender",), ("good",)]
    assert site.rows("SELECT utc_ms FROM reading") == [(UTC_MS - 5000,), (UTC_MS,)]


def test_same_key_is_stored_once(site):
    for _ in range(2):
        site.submit(1.0, key=KEY)
        site.submit(1.0, key=KEY)  # before the first one is committed
        site.ingest.run()
    assert site.seen() == [("meter", 1.0)]
    assert site.verdicts == [(Verdict.STORED, "")] + [(Verdict.KNOWN, "")] * 3
    assert site.feed.known_total == 3


def test_key_is_known_after_a_kill_behind_the_commit(site):
    site.submit(1.0, key=KEY, position='{"at": 9}')
    site.ingest.run()
    site.kill()
    assert site.feed.position() == '{"at": 9}'
    site.submit(1.0, key=KEY)
    site.ingest.run()
    assert site.verdicts[-1] == (Verdict.KNOWN, "")
    assert len(site.seen()) == 1


def test_kill_before_the_commit_leaves_neither_reading_nor_key_nor_position(site):
    site.submit(1.0, key=KEY, position="5")
    site.kill()
    assert site.feed.position() == ""
    site.submit(1.0, key=KEY)
    site.ingest.run()
    assert site.verdicts == [(Verdict.STORED, "")]


def test_what_goes_on_from_another_position_is_given_up(site):
    site.submit(1.0, position="a", after="")
    site.submit(2.0, position="b", after="a")  # of which nothing is committed yet
    site.submit(3.0, position="c", after="a")
    site.ingest.run()
    site.submit(4.0, position="c", after="a")
    site.submit(5.0, position="c", after="b")
    site.ingest.run()
    assert [row[1] for row in site.seen()] == [1.0, 2.0, 5.0]
    assert [verdict.name for verdict, _ in site.verdicts].count("GIVEN_UP") == 2
    assert site.feed.position() == "c"


def test_position_moves_without_a_reading(site):
    site.submit(position="a", after="")
    site.ingest.run()
    assert (site.verdicts, site.feed.position()) == ([(Verdict.STORED, "")], "a")
    site.kill()
    assert site.feed.position() == "a"
    site.submit(1.0, position="b", after="a")
    site.ingest.run()
    assert site.seen() == [("meter", 1.0)]


def test_key_of_another_device_is_another_key(site):
    site.submit(1.0, key=KEY)
    site.ingest.run()
    other = Feed(
        {**DEVICE, "name": "other"}, site.ingest.put, site.store.receipts.positions, site.clock
    )
    other.put(Submission([Sample("", 3.0)], KEY))
    site.ingest.run()
    assert site.seen() == [("meter", 1.0), ("other", 3.0)]


def test_forgotten_key_is_stored_again_once_its_commit_needs_no_other_key(site):
    kept = receipt_key(b"kept")
    site.submit(1.0, key=KEY)
    site.submit(2.0, key=kept)
    site.ingest.run()
    assert site.feed.forget_all_but([kept])
    site.submit(1.0, key=KEY)
    site.ingest.run()
    assert [row[1] for row in site.seen()] == [1.0, 2.0, 1.0]
    assert site.feed.forget_all_but([])
    site.submit(4.0)
    site.ingest.run()
    assert site.rows("SELECT count(*) FROM receipt") == [(0,)]
    site.kill()
    site.submit(2.0, key=kept)
    site.ingest.run()
    assert [row[1] for row in site.seen()] == [1.0, 2.0, 1.0, 4.0, 2.0]


def test_what_was_never_sent_before_is_stored_whatever_is_known_under_its_key(site):
    for _ in range(2):
        site.submit(1.0, new_keys=[KEY])
        site.submit(1.0, new_keys=[KEY])  # within one commit, too
        site.submit(1.0, key=KEY)
        site.ingest.run()
    assert len(site.seen()) == 4
    assert [verdict for verdict, _ in site.verdicts].count(Verdict.KNOWN) == 2
    site.kill()
    assert site.feed.forget_all_but([])
    site.submit(2.0)
    site.ingest.run()
    assert site.rows("SELECT count(*) FROM receipt") == [(0,)]


def test_several_deliveries_may_be_one_submission(site):
    keys = [receipt_key(b"%d" % number) for number in range(3)]
    site.submit(0.0, 1.0, 2.0, new_keys=keys)
    site.submit(1.0, key=keys[1])
    site.ingest.run()
    site.kill()
    site.submit(2.0, key=keys[2])
    site.ingest.run()
    assert [row[1] for row in site.seen()] == [0.0, 1.0, 2.0]
    assert [verdict.name for verdict, _ in site.verdicts] == ["STORED", "KNOWN", "KNOWN"]


def test_several_deliveries_that_are_refused_are_not_counted_before_each_is_brought_alone(site):
    site.submit(*(Sample(f"c{number}", 1.0) for number in range(CHANNELS_MAX)))
    site.ingest.run()
    site.submit(Sample("c1", 2.0), Sample("one more", 2.0), new_keys=[KEY, receipt_key(b"b")])
    site.ingest.run()
    assert (site.verdicts[-1][0], site.feed.rejected_total) == (Verdict.REFUSED, 0)
    site.submit(Sample("one more", 2.0), new_keys=[receipt_key(b"b")])
    site.ingest.run()
    assert (site.verdicts[-1][0], site.feed.rejected_total) == (Verdict.REFUSED, 1)


def test_all_keys_but_some_are_forgotten_committed_or_not(site):
    keys = [receipt_key(b"%d" % number) for number in range(4)]
    for committed, uncommitted in (keys[:2], keys[2:]):
        site.submit(1.0, key=committed)
        site.ingest.run()
        site.submit(2.0, key=uncommitted)
    other = Feed(
        {**DEVICE, "name": "other"}, site.ingest.put, site.store.receipts.positions, site.clock
    )
    other.put(Submission([Sample("", 3.0)], keys[0]))
    assert site.feed.forget_all_but([keys[1], keys[3]])
    for key in keys:
        site.submit(4.0, key=key)
    other.put(Submission([Sample("", 4.0)], keys[0]))
    site.ingest.run()
    again = [row for row in site.seen() if row[1] == 4.0]
    assert again == [("meter", 4.0)] * 2
    assert site.feed.known_total == 2
    assert other.known_total == 1


def test_forgetting_all_leaves_no_receipt(site):
    site.submit(1.0, key=KEY)
    assert site.feed.forget_all_but(())
    site.ingest.run()
    site.kill()
    site.submit(1.0, key=KEY)
    site.ingest.run()
    assert len(site.seen()) == 2


def test_urgent_submission_is_not_left_waiting(site):
    assert site.submit(1.0)
    site.wake.clear()
    now_ms = site.clock.monotonic_ms()
    assert site.ingest.due_ms(now_ms, 1000) > now_ms
    assert site.submit(2.0, is_urgent=True)
    assert site.wake.is_set()
    assert site.ingest.due_ms(now_ms, 1000) == now_ms


def test_oldest_keys_are_forgotten_at_the_limit_and_counted(site):
    keys = [receipt_key(b"%d" % number) for number in range(receipt.KEYS_MAX + 5)]
    for key in keys:
        assert site.submit(1.0, key=key)
    site.ingest.run()
    assert site.store.receipts.forgotten_total == 5
    assert not site.store.receipts.knows(site.feed.source_id, keys[4])
    assert site.store.receipts.knows(site.feed.source_id, keys[5])


def test_position_and_keys_are_of_one_source(site):
    for source in ("a", "b"):
        site.feed.read_from(source)
        assert site.feed.position() == ""
        site.submit(1.0, key=KEY, position=f"{source} 1")
        site.ingest.run()
    site.kill()
    site.feed.read_from("a")
    assert site.feed.position() == "a 1"
    assert site.feed.other_positions() == {"b": "b 1"}
    site.submit(2.0, key=KEY)
    site.submit(3.0, position="a 2", after="a 1")
    site.ingest.run()
    assert [verdict.name for verdict, _ in site.verdicts] == [
        "STORED",
        "STORED",
        "KNOWN",
        "STORED",
    ]
    site.kill()
    site.feed.read_from("c")
    assert site.feed.other_positions() == {"b": "b 1", "a": "a 2"}  # the last one at the end
    assert list(site.feed.other_positions()) == ["b", "a"]


def test_source_that_was_read_longest_ago_is_forgotten_at_the_limit(site, log):
    for number in range(receipt.SOURCES_MAX):
        site.feed.read_from(f"file {number}")
        site.submit(1.0, key=KEY, position="x")
        site.ingest.run()
    assert log.warnings() == []
    site.feed.read_from("file 0")
    site.submit(1.0, position="y")
    site.ingest.run()
    site.feed.read_from("one more")
    site.submit(1.0, key=KEY, position="x")
    site.ingest.run()
    (line,) = log.warnings()
    assert "more than 16 sources: where it was in file 1 is forgotten" in line
    for _ in range(2):
        kept = site.store.receipts.positions("meter")
        assert list(kept)[-2:] == ["file 0", "one more"]
        assert len(kept) == receipt.SOURCES_MAX
        assert "file 1" not in kept
        assert not site.store.receipts.knows(SourceId("meter", "file 1"), KEY)
        assert site.store.receipts.knows(SourceId("meter", "file 2"), KEY)
        site.submit(1.0)
        site.ingest.run()  # what is forgotten is removed with the next commit
        site.kill()
    assert site.rows("SELECT count(*) FROM receipt") == [(receipt.SOURCES_MAX,)]


def test_feed_that_is_closed_takes_nothing(site):
    site.submit(1.0)
    site.feed.close()
    assert not site.submit(2.0)
    assert not site.feed.forget_all_but([])
    assert site.feed.full_total == 1
    site.ingest.run()
    assert site.seen() == [("meter", 1.0)]


def test_failed_commit_settles_nothing_until_it_succeeds(site):
    site.submit(1.0, key=KEY)
    site.ingest.run()
    site.fill_up()
    site.submit(*[3.0] * 1000)
    site.ingest.run()
    assert site.ingest.problem
    assert len(site.verdicts) == 1
    site.make_room()
    site.ingest.run()
    assert site.verdicts == [(Verdict.STORED, "")] * 2


def test_nothing_is_taken_after_the_end(site):
    site.ingest.end()
    assert not site.submit(1.0)
    assert site.feed.full_total == 1


def test_failing_last_commit_gives_up_what_was_taken(site):
    site.submit(1.0)
    site.ingest.run()
    site.verdicts.clear()
    site.fill_up()
    site.submit(*[1.0] * 1000)
    site.submit(2.0)
    site.ingest.end()
    assert [verdict for verdict, _ in site.verdicts] == [Verdict.GIVEN_UP] * 2


@pytest.mark.parametrize(
    "sample",
    [
        Sample("", float("nan")),
        Sample("", float("inf")),
        Sample("", 1.0, 0),
        Sample("", 1.0, UTC_MS * 1000),
        Sample("a\nb", 1.0),
        Sample("x" * (NAME_SIZE_MAX + 1), 1.0),
        Sample("", 1.0, unit="\x00"),
        Sample("", "1.0"),
        Sample("", True),
        Sample("", None),
        Sample("", 2**53),
        Sample("", 1.0, UTC_MS + 0.5),
        Sample("", 1.0, quality=3),
        Sample("", 1.0, quality=None),
        Sample(None, 1.0),
        Sample("", 1.0, unit=3),
        ("", 1.0, None, "", 0),
    ],
    ids=repr,
)
def test_what_no_store_could_take_is_refused_at_once(site, sample):
    with pytest.raises(SubmissionError):
        site.submit(1.0, sample)
    site.ingest.run()
    assert site.seen() == []


@pytest.mark.parametrize(
    "thing",
    [
        None,
        [Sample("", 1.0)],
        Submission((Sample("", 1.0),)),
        Submission([], key="k" * 12),
        Submission([], key=b"short"),
        Submission([], position=3),
        Submission([], settle=None),
    ],
    ids=[
        "None",
        "samples alone",
        "samples in a tuple",
        "key that is text",
        "short key",
        "position that is a number",
        "no settle",
    ],
)
def test_what_is_no_submission_is_refused_at_once(site, thing):
    with pytest.raises(SubmissionError):
        site.feed.put(thing)
    assert site.feed.submitted_total == 0


def test_whole_number_is_a_value(site):
    site.submit(Sample("", 2**53 - 1))
    site.ingest.run()
    assert site.seen() == [("meter", float(2**53 - 1))]


def test_bad_reading_needs_no_number(site):
    site.submit(Sample("", float("nan"), quality=QUALITY_BAD))
    site.ingest.run()
    assert site.seen("value, quality") == [(None, "bad")]


def test_too_many_readings_at_once_are_refused(site):
    with pytest.raises(SubmissionError, match="at most"):
        site.submit(*[1.0] * (SAMPLES_MAX + 1))


def test_channels_are_limited_and_the_excess_is_counted(site):
    site.submit(*(Sample(f"c{number}", 1.0) for number in range(CHANNELS_MAX)))
    site.submit(Sample("c1", 2.0), Sample("one more", 2.0))
    site.ingest.run()
    assert sorted(verdict.name for verdict, _ in site.verdicts) == ["REFUSED", "STORED"]
    assert f"more than {CHANNELS_MAX} channels" in "".join(reason for _, reason in site.verdicts)
    assert (len(site.seen()), site.feed.rejected_total) == (CHANNELS_MAX, 2)


def test_there_is_room_for_so_many_readings_and_then_none(site):
    many = [1.0] * SAMPLES_MAX
    count = 0
    while site.submit(*many):
        count += 1
    assert count == SUBMITTED_MAX // SAMPLES_MAX
    assert site.feed.full_total == 1
    site.ingest.run()
    assert site.submit(*many)


def test_adapter_that_floods_leaves_room_for_others(site):
    many = [Sample("", float(value)) for value in range(SAMPLES_MAX)]
    while site.submit(*many):
        pass
    other = Feed(
        {**DEVICE, "name": "other"}, site.ingest.put, site.store.receipts.positions, site.clock
    )
    for _ in range(SHARE_MIN):
        assert other.put(Submission([Sample("", 7.0)]))
    assert not other.put(Submission([Sample("", 7.0)]))
    site.ingest.run()
    assert site.rows("SELECT count(*) FROM readings WHERE sensor = 'other'") == [(SHARE_MIN,)]
    assert other.put(Submission([Sample("", 7.0)]))


def test_adapter_that_floods_leaves_room_for_boards(site):
    while site.submit(1.0):
        pass
    for _ in range(EVENTS_MAX):
        assert site.ingest.put(site.link, batch(0, []))
    assert not site.ingest.put(site.link, batch(0, []))


def test_keys_that_are_forgotten_take_room_too(site):
    keys = [receipt_key(bytes([one])) for one in range(100)]
    count = 0
    while site.feed.forget_all_but(keys):
        count += 1
    assert count == SUBMITTED_MAX // 100
    site.ingest.run()
    assert site.feed.forget_all_but(keys)


def test_store_has_how_many_were_rejected(site):
    site.feed.reject("a message that is no JSON", 3)
    site.submit(1.0)
    site.ingest.run()
    assert site.rows("SELECT sampled_total, sensor_errors_total FROM boot") == [(1, 3)]


def test_error_of_an_adapter_keeps_no_other_from_being_told(site):
    def fail(verdict, reason):
        raise OSError("went away")

    site.feed.put(Submission([Sample("", 1.0)], settle=fail))
    site.submit(2.0)
    with pytest.raises(OSError, match="went away"):
        site.ingest.run()
    site.ingest.run()
    assert site.verdicts == [(Verdict.STORED, "")]
