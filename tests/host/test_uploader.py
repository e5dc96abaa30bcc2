"""UploadWorker, step by step, against real servers: nothing is lost, and it says so once."""

import threading

import pytest
from host.fakes import UTC_MS, FakeClock, FixedRandom
from host.processes import free_port
from host.servers import Answer, half_answer, serving
from host.test_store import info, telemetry
from host.waiting import wait_for
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.sinks.delivery import ACCEPTED, FAILED, REFUSED, Delivery
from pyv_edge_agent.sinks.http import HTTPCloudUploader
from pyv_edge_agent.store import TIME_QUALITY_SHIFT, SQLiteStore, TimeSegments, read_ledger
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.time_base import TimeBase
from pyv_edge_agent.uploader import IDLE_S, WAIT_MS, UploadWorker
from pyv_edge_core.privacy import PrivacyPolicy


class Rig:
    def __init__(self, path, share=1.0, policy=None):
        self.policy = policy or PrivacyPolicy()
        self.clock = FakeClock()
        self.rng = FixedRandom(share)
        self.store = SQLiteStore(path, self.clock)
        self.queue = CloudSyncQueue(clock=self.clock)
        self.queue.bind(self.store)
        self.opened = self.store.open_boot(info(), UTC_MS)
        self.stored = 0
        self.client = None

    def add(self, *values, quality=0, channel=0):
        self.store.commit(telemetry(self.opened, self.stored, values, channel, quality))
        self.stored += len(values)

    def worker(self, url, batch_size=500, timeout=10.0, api_key="s3cret"):
        self.client = HTTPCloudUploader(url, api_key, timeout, self.clock)
        return UploadWorker(
            self.store,
            self.queue,
            Terms(self.client, Egress(self.policy), batch_size, 1.0, 60.0),
            self.clock,
            self.rng,
        )

    def close(self):
        if self.client is not None:
            self.client.close()
        self.store.close()


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path / "edge.db")
    yield made
    made.close()


def values(cloud):
    """Return the values of all items of all requests, in order."""
    return [item["value"] for body in cloud.bodies for item in body["items"]]


# -- what goes well ----------------------------------------------------------------


def test_readings_are_delivered_in_order_and_acknowledged(rig):
    rig.add(*range(10))
    with serving() as cloud:
        worker = rig.worker(cloud.url, batch_size=4)
        assert worker.step() == IDLE_S
    assert values(cloud) == [value / 100 for value in range(10)]
    assert [body["count"] for body in cloud.bodies] == [4, 4, 2]
    assert len(set(cloud.keys)) == 3
    assert rig.queue.pending_count() == 0
    assert worker.delivered_total == 10
    assert worker.last_success_utc_ms == UTC_MS
    assert read_ledger(rig.store.path).is_balanced


def test_nothing_to_deliver_sends_nothing(rig):
    with serving() as cloud:
        assert rig.worker(cloud.url).step() == IDLE_S
        assert cloud.requests == []


def test_payload_of_a_reading(rig):
    rig.add(2153)
    with serving() as cloud:
        rig.worker(cloud.url).step()
    assert cloud.bodies[0]["items"] == [
        {
            "sensor_name": "porch.temp",
            "timestamp": UTC_MS / 1000,
            "value": 21.53,
            "unit": "Cel",
            "metadata": {
                "quality": "good",
                "device": "board-1",
                "channel": "temp",
                "boot": "abcd1234",
                "stream": "telemetry",
                "seq": 0,
                "time_error_ms": 2,
            },
        }
    ]


def test_bad_reading_has_no_value(rig):
    rig.add(2153, quality=2)
    rig.add(2154, quality=1)
    with serving() as cloud:
        rig.worker(cloud.url).step()
    bad, uncertain = cloud.bodies[0]["items"]
    assert (bad["value"], bad["metadata"]["quality"]) == (None, "bad")
    assert (uncertain["value"], uncertain["metadata"]["quality"]) == (21.54, "uncertain")


def test_exponents_give_values_in_the_unit(rig):
    rig.add(42, channel=1)
    rig.add(7, channel=2)
    with serving() as cloud:
        rig.worker(cloud.url).step()
    assert values(cloud) == [42.0, 7000.0]


def test_items_go_before_readings_and_are_acknowledged(rig):
    rig.add(1)
    low = rig.queue.enqueue({"n": "low"}, 4)
    high = rig.queue.enqueue({"n": "high", "metadata": {"kept": 1}}, 1)
    with serving() as cloud:
        worker = rig.worker(cloud.url)
        assert worker.step() == IDLE_S
    first, second = cloud.bodies
    store, moment = rig.store.store_id, rig.clock.utc_ms() / 1000
    assert first["items"] == [
        {"n": "high", "metadata": {"kept": 1, "item_id": f"{store}-{high}-{moment:.3f}"}},
        {"n": "low", "metadata": {"item_id": f"{store}-{low}-{moment:.3f}"}},
    ]
    assert second["items"][0]["value"] == 0.01
    assert rig.queue.pending_count() == 0
    assert worker.delivered_total == 3


def test_expired_item_is_not_sent(rig):
    rig.queue.enqueue({"n": 1}, ttl_seconds=10)
    rig.clock.advance(10_000)
    with serving() as cloud:
        rig.worker(cloud.url).step()
        assert cloud.requests == []
    assert rig.queue.pending_count() == 0


def test_payload_with_odd_metadata_blocks_nothing(rig):
    # A caller's payload may be any dict; it must not keep all other data from leaving.
    rig.queue.enqueue({"n": 1, "metadata": None})
    rig.queue.enqueue({"n": 2, "metadata": ["a"]})
    rig.add(5)
    with serving() as cloud:
        worker = rig.worker(cloud.url)
        worker.step()
    assert worker.problem == ""
    assert rig.queue.pending_count() == 0
    assert 0.05 in [item.get("value") for body in cloud.bodies for item in body["items"]]


def test_delivered_today_starts_anew_at_midnight(rig):
    rig.add(1, 2)
    with serving() as cloud:
        worker = rig.worker(cloud.url)
        worker.step()
        assert worker.delivered_today == 2
        rig.clock.advance(86_400_000)
        assert worker.delivered_today == 0
        rig.add(3)
        worker.step()
        assert worker.delivered_today == 1
    assert worker.delivered_total == 3


# -- what goes wrong ---------------------------------------------------------------

REFUSALS = [
    Answer(200, b"<html>", kind="text/html"),
    Answer(302, b"", {"Location": "/login"}),
    Answer(401),
    Answer(403),
    Answer(429),
    Answer(500),
    Answer(503),
    half_answer(),
]


@pytest.mark.parametrize("answer", REFUSALS, ids=lambda answer: f"{answer.status}-{answer.kind}")
def test_refused_batch_is_kept_and_sent_again_under_its_key(rig, answer, log):
    rig.add(*range(6))
    with serving(answer, answer, answer, Answer(200)) as cloud:
        worker = rig.worker(cloud.url, batch_size=4)
        for attempt in (1, 2, 3):
            assert 0 < worker.step() <= 60.001
            assert worker.attempts_failed_total == attempt
            rig.add(100)  # what comes meanwhile changes nothing of the batch under way
            assert rig.queue.pending_count() == 6 + attempt
            rig.clock.advance(61_000)
        assert worker.step() == IDLE_S
    first_four = cloud.bodies[:4]
    assert len({body["batch_id"] for body in first_four}) == 1
    assert all(body["items"] == first_four[0]["items"] for body in first_four)
    accepted = [item["value"] for body in cloud.bodies[3:] for item in body["items"]]
    assert accepted == [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 1.0, 1.0, 1.0]
    assert rig.queue.pending_count() == 0
    down, up = log.warnings()
    assert "does not take readings: " in down
    assert "takes readings again after 3 failed attempts" in up
    assert "s3cret" not in log.whole()


def test_refused_items_are_sent_again_under_their_key(rig):
    rig.queue.enqueue({"n": 1})
    with serving(Answer(500), Answer(200)) as cloud:
        worker = rig.worker(cloud.url)
        worker.step()
        rig.queue.enqueue({"n": 2}, 1)  # more urgent, and not part of the batch under way
        assert rig.queue.pending_count() == 2
        rig.clock.advance(61_000)
        worker.step()
    assert cloud.keys[0] == cloud.keys[1]
    assert cloud.bodies[0]["items"] == cloud.bodies[1]["items"]
    assert [body["items"][0]["n"] for body in cloud.bodies] == [1, 1, 2]
    assert rig.queue.pending_count() == 0


def test_key_stands_for_one_set_of_items_over_a_restart(rig):
    # The server had the first batch and its reply was lost; one item then expires.
    rig.queue.enqueue({"n": 1}, 1)
    rig.queue.enqueue({"n": 2}, 3, ttl_seconds=10)
    rig.queue.enqueue({"n": 3}, 3)
    rig.queue.enqueue({"n": 4}, 1)
    with serving(half_answer(), Answer(200)) as cloud:
        rig.worker(cloud.url, batch_size=3).step()
        rig.client.close()
        rig.queue.bind(rig.store)  # as a new process would
        rig.clock.advance(60_000)
        rig.worker(cloud.url, batch_size=3).step()
    sent = {}
    for body in cloud.bodies:
        numbers = [item["n"] for item in body["items"]]
        assert sent.setdefault(body["batch_id"], numbers) == numbers
    assert len(cloud.bodies) >= 2


def test_server_that_hangs_loses_nothing(rig, log):
    rig.add(1)
    with serving(hangs=True) as cloud:
        worker = rig.worker(cloud.url, timeout=0.2)
        assert worker.step() > 0
        assert rig.queue.pending_count() == 1
        assert worker.problem.endswith("no answer in time")
        cloud.hangs = False
        rig.clock.advance(61_000)
        assert worker.step() == IDLE_S
        assert cloud.keys[0] == cloud.keys[1]
    assert rig.queue.pending_count() == 0


def test_server_that_is_not_there_loses_nothing(rig, log):
    port = free_port()
    rig.add(1)
    worker = rig.worker(f"http://user:hunter2@127.0.0.1:{port}/in?token=abc123")
    for _ in range(5):
        worker.step()
        rig.clock.advance(61_000)
    assert worker.attempts_failed_total == 5
    assert rig.queue.pending_count() == 1
    assert len(log.warnings()) == 1
    for secret in ("hunter2", "s3cret", "abc123"):
        assert secret not in log.whole()
        assert secret not in worker.problem


def test_batch_in_doubt_has_its_key_after_a_restart_too(rig):
    rig.add(*range(5))
    with serving(half_answer(), Answer(200)) as cloud:
        rig.worker(cloud.url, batch_size=3).step()
        rig.client.close()
        rig.store.close()
        rig.store = SQLiteStore(rig.store.path, rig.clock)
        rig.queue.bind(rig.store)
        rig.worker(cloud.url, batch_size=100).step()
    assert cloud.keys[0] == cloud.keys[1]
    assert cloud.bodies[0]["items"] == cloud.bodies[1]["items"]
    assert rig.queue.pending_count() == 0


# -- back-off ----------------------------------------------------------------------


def test_back_off_doubles_with_full_jitter_up_to_its_bound(rig):
    rig.add(1)
    with serving(Answer(500)) as cloud:
        worker = rig.worker(cloud.url)
        waits = []
        for _ in range(9):
            waits.append(worker.step())
            rig.clock.advance(round(waits[-1] * 1000))
        assert len(cloud.requests) == 9
    assert rig.rng.ranges == [(0, high) for high in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
    assert waits == [high + 0.001 for _, high in rig.rng.ranges]


def test_jitter_is_the_given_randoms(tmp_path):
    rig = Rig(tmp_path / "edge.db", share=0.25)
    rig.add(1)
    with serving(Answer(500)) as cloud:
        assert rig.worker(cloud.url).step() == 0.251
    rig.close()


def test_nothing_is_sent_before_its_time(rig):
    rig.add(1)
    with serving(Answer(500)) as cloud:
        worker = rig.worker(cloud.url)
        wait_s = worker.step()
        for _ in range(5):
            assert worker.step() == wait_s
        rig.clock.advance(round(wait_s * 1000) - 1)
        assert worker.step() == 0.001
        assert len(cloud.requests) == 1
        rig.clock.advance(1)
        worker.step()
        assert len(cloud.requests) == 2


@pytest.mark.parametrize(("asked", "waited"), [("20", 20.001), ("3600", 60.001), ("0", 1.001)])
def test_retry_after_is_honoured_within_the_bound(rig, asked, waited):
    rig.add(1)
    with serving(Answer(429, b"", {"Retry-After": asked})) as cloud:
        assert rig.worker(cloud.url).step() == waited


def test_success_ends_the_back_off(rig):
    rig.add(1)
    with serving(Answer(500), Answer(500), Answer(200), Answer(500)) as cloud:
        worker = rig.worker(cloud.url)
        for _ in range(3):
            worker.step()
            rig.clock.advance(61_000)
        assert worker.problem == ""
        rig.add(2)
        worker.step()
    assert [high for _, high in rig.rng.ranges] == [1, 2, 1]


def test_failure_between_reply_and_acknowledgement_sends_the_same_again(rig):
    rig.add(*range(4))
    writer = rig.store._writer
    with serving() as cloud:
        worker = rig.worker(cloud.url, batch_size=2)
        # From the POST on, every write fails, as on a file system gone read-only.
        cloud.on_request = lambda: writer.execute("PRAGMA query_only = ON")
        worker.step()
        assert worker.attempts_failed_total == 1  # the next batch can't be planned
        assert rig.queue.pending_count() == 2
        cloud.on_request = lambda: None
        rig.client.close()
        rig.store.abandon()  # the power fails: nobody has written that the first was taken
        rig.store = SQLiteStore(rig.store.path, rig.clock)
        rig.queue.bind(rig.store)
        assert rig.queue.pending_count() == 4
        assert rig.worker(cloud.url, batch_size=2).step() == IDLE_S
    rig.store.sinks.flush()
    assert len(cloud.keys) == 3
    assert cloud.keys[0] == cloud.keys[1]
    assert rig.queue.pending_count() == 0
    assert read_ledger(rig.store.path).is_balanced


# -- the thread --------------------------------------------------------------------


def test_thread_delivers_when_woken_and_ends_when_stopped(rig):
    with serving() as cloud:
        worker = rig.worker(cloud.url)
        thread = threading.Thread(target=worker.run, daemon=True)
        thread.start()
        rig.add(1)

        def woken():
            worker.wake()
            return cloud.requests

        wait_for(woken, "a POST")
        worker.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_items_that_are_never_taken_do_not_hold_readings_up(rig):
    rig.add(1, 2, 3)
    rig.queue.enqueue({"n": "refused"})

    def refuse_items(body):
        return Answer(400 if "n" in body["items"][0] else 200, b"{}")

    with serving(refuse_items) as cloud:
        worker = rig.worker(cloud.url)
        for _ in range(4):
            worker.step()
            rig.clock.advance(61_000)
    assert values_of_readings(cloud) == [0.01, 0.02, 0.03]
    assert rig.store.sinks.pending_most() == 0
    assert rig.queue.pending_count() == 0
    assert worker.problem == ""
    (letter,) = rig.store.dead_letters.all()
    assert (letter["payload"]["n"], letter["reason"]) == ("refused", "status 400")
    assert worker.dead_total == 1


def values_of_readings(cloud):
    return [item["value"] for body in cloud.bodies for item in body["items"] if "value" in item]


class Judge:
    """A client without a network: `takes` decides what becomes of a batch."""

    shown = "judge"

    def __init__(self, takes):
        self.takes = takes
        self.taken = []

    def deliver(self, key, items):
        delivery = self.takes(key, items)
        if delivery.is_accepted:
            self.taken.append((key, items))
        return delivery

    def readings(self):
        return sum(len(items) for key, items in self.taken if "-items-" not in key)


def judged_worker(rig, judge, **more):
    return UploadWorker(
        rig.store,
        rig.queue,
        Terms(judge, Egress(rig.policy), 10, 1.0, 60.0, **more),
        rig.clock,
        rig.rng,
    )


def sent(judge):
    """Return all that a Judge has taken, in order."""
    return [item for _, items in judge.taken for item in items]


def accept():
    return Judge(lambda *_: Delivery(ACCEPTED))


def refuse(mark):
    """Refuse every batch with an item that has `mark`, as a server does what it can't read."""
    return lambda _, items: (
        Delivery(REFUSED, "status 400")
        if any(mark in item for item in items)
        else Delivery(ACCEPTED)
    )


def test_refused_item_neither_slows_readings_nor_fills_the_log(rig, log):
    judge = Judge(refuse("bad"))
    worker = judged_worker(rig, judge)
    rig.queue.enqueue({"bad": 1})
    for _ in range(60):
        rig.add(*range(20))  # two batches a second
        worker.step()
        rig.clock.advance(1000)
    assert judge.readings() == 60 * 20
    assert len(log.warnings()) == 1


def test_steady_items_leave_readings_their_turn(rig):
    posts = []

    def one_more(key, items):
        posts.append("items" if "-items-" in key else "readings")
        if len(posts) < 40:
            rig.queue.enqueue({"n": len(posts)})  # an event for every round trip
        return Delivery(ACCEPTED)

    rig.queue.enqueue({"n": 0})
    rig.add(*range(50))
    judged_worker(rig, Judge(one_more)).step()
    assert posts.count("readings") == 5
    assert posts[:6] == ["items", "readings"] * 3


def test_refused_readings_are_singled_out_however_few_wait_behind_them(rig):
    rig.add(*range(21))

    def refuse_some(key, items):
        is_bad = any(item["metadata"]["seq"] in (0, 1, 7) for item in items)
        return Delivery(REFUSED, "422") if is_bad else Delivery(ACCEPTED)

    judge = Judge(refuse_some)
    worker = judged_worker(rig, judge)
    for _ in range(40):
        worker.step()
        rig.clock.advance(61_000)
    letters = rig.store.dead_letters.all()
    assert [one["payload"]["metadata"]["seq"] for one in letters] == [7, 1, 0]
    assert judge.readings() == 18
    assert rig.store.sinks.pending("http") == 0


def test_sink_that_refuses_everything_has_a_problem_of_its_own(rig):
    rig.add(*range(21))
    worker = judged_worker(rig, Judge(lambda *_: Delivery(REFUSED, "422")))
    for _ in range(60):
        worker.step()
        rig.clock.advance(61_000)
    assert rig.store.dead_letters.count == 0
    assert rig.store.sinks.pending("http") == 21


def test_alarm_passes_a_refused_item(rig):
    judge = Judge(refuse("bad"))
    worker = judged_worker(rig, judge)
    rig.queue.enqueue({"bad": 1}, 4)
    worker.step()
    rig.queue.enqueue({"alarm": 1}, 1)
    for _ in range(3):  # refused together, then halved
        rig.clock.advance(61_000)
        worker.step()
    assert [item["alarm"] for _, items in judge.taken for item in items] == [1]
    assert rig.queue.pending_count() == 0  # since the alarm was taken, it is the item's fault
    assert [letter["payload"]["bad"] for letter in rig.store.dead_letters.all()] == [1]


def test_item_under_way_expires_too(rig):
    is_up = []
    judge = Judge(lambda *_: Delivery(ACCEPTED if is_up else FAILED, "" if is_up else "down"))
    worker = judged_worker(rig, judge)
    rig.queue.enqueue({"n": 1}, ttl_seconds=60)
    worker.step()
    rig.clock.advance(86_400_000)
    is_up.append(True)
    worker.step()
    assert judge.taken == []
    assert rig.queue.pending_count() == 0


def test_put_off_item_leaves_the_thread_idle(rig):
    worker = judged_worker(rig, Judge(refuse("bad")))
    rig.queue.enqueue({"bad": 1})
    waits_s = []
    for _ in range(4):
        waits_s.append(worker.step())
        rig.clock.advance(2000)
    # It is put off for 1, 2, then 4 s; at the fourth step nothing is due, and nothing spins.
    assert waits_s == [1.001, 1.001, 1.001, IDLE_S]
    assert rig.queue.pending_count() == 1


def test_items_of_one_id_and_another_time_have_another_key(rig, tmp_path):
    # As after an older copy of the store was put back: ids are given out again.
    keys = []
    judge = Judge(lambda key, _: keys.append(key) or Delivery(ACCEPTED))
    for place in ("one", "two"):
        again = Rig(tmp_path / place / "edge.db")
        again.store.store_id = "the same"
        again.clock.advance(1000 * len(keys))
        assert again.queue.enqueue({"n": place}) == 1
        judged_worker(again, judge).step()
        again.close()
    assert len(set(keys)) == 2


# -- while the clock is not set ----------------------------------------------------


def test_what_is_stored_while_the_uploader_looks_waits_too(rig):
    judge, asked = Judge(lambda *_: Delivery(ACCEPTED)), []

    def reason():
        if not asked:
            rig.add(1)
        asked.append(1)
        return "the clock is not set"

    worker = judged_worker(rig, judge, waits_for=reason)
    for _ in range(3):
        worker.step()
        rig.clock.advance(2000)
    assert asked and judge.readings() == 0
    assert worker.waiting == "the clock is not set"


def test_readings_wait_for_a_reason_and_items_do_not(rig, log):
    reason = ["the clock is not set"]
    judge = accept()
    worker = judged_worker(rig, judge, waits_for=lambda: reason[0])
    assert worker.step() == IDLE_S
    assert worker.problem == ""  # nothing waits
    rig.add(1, 2)
    rig.queue.enqueue({"n": 1})
    assert worker.step() == WAIT_MS / 1000
    assert [item["n"] for item in sent(judge)] == [1]
    assert worker.problem == "the clock is not set"
    rig.clock.advance(WAIT_MS)
    worker.step()
    assert (worker.waits_total, worker.attempts_failed_total) == (1, 0)
    assert len(log.having("readings are not uploaded yet: the clock is not set")) == 1
    reason[0] = ""
    rig.clock.advance(WAIT_MS)
    assert worker.step() == IDLE_S
    assert [item["value"] for item in sent(judge)[1:]] == [0.01, 0.02]
    assert worker.problem == ""


def test_payload_says_what_its_time_is_worth_unless_that_is_good(rig):
    for time_quality in range(3):
        rig.add(1, quality=1 | time_quality << TIME_QUALITY_SHIFT)
    judge = accept()
    judged_worker(rig, judge).step()
    found = [
        (item["metadata"]["quality"], item["metadata"].get("time_quality")) for item in sent(judge)
    ]
    assert found == [("uncertain", None), ("uncertain", "unset"), ("uncertain", "retimed")]
    assert [item["value"] for item in sent(judge)] == [0.01] * 3


def test_bad_reading_of_an_unset_clock_has_no_value(rig):
    rig.add(1, quality=2 | 1 << TIME_QUALITY_SHIFT)
    judge = accept()
    judged_worker(rig, judge).step()
    (item,) = sent(judge)
    assert (item["value"], item["metadata"]["quality"]) == (None, "bad")


def test_item_that_is_put_off_is_due_whatever_the_clock_is_set_to(rig):
    base = TimeBase(TimeSegments(rig.store), rig.clock, "1")
    worker = judged_worker(rig, Judge(lambda *_: Delivery(REFUSED, "bad")))
    rig.queue.enqueue({"bad": 1})
    worker.step()
    rig.clock.advance(1000)
    rig.clock.step(-86_400_000)
    assert base.look()
    base.adopt()
    rig.clock.advance(1000)
    assert len(rig.queue.peek()) == 1
