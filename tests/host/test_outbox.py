"""CloudSyncQueue: priority, time to live, leases, retries."""

import pytest
from host.fakes import UTC_MS, FakeClock
from host.test_store import info, telemetry
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.outbox import RETRY_MAX_S, CloudSyncQueue, Priority
from pyv_edge_agent.store import SQLiteStore


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def queue(tmp_path, clock):
    made = CloudSyncQueue(str(tmp_path / "queue.db"), clock)
    yield made
    made.close()


def names(items):
    return [item["payload"]["n"] for item in items]


def test_dormant_queue_opens_nothing_and_says_what_it_needs():
    queue = CloudSyncQueue()
    assert queue.pending_count() == 0
    assert queue.maybe_flush() is False
    with pytest.raises(RuntimeError, match="start the agent, or give a db_path"):
        queue.enqueue({})
    queue.close()


def test_queue_with_a_path_opens_it_when_first_used(tmp_path, clock):
    path = tmp_path / "queue.db"
    queue = CloudSyncQueue(str(path), clock)
    assert not path.exists()
    queue.enqueue({"n": 1})
    assert path.exists()
    queue.close()


def test_items_under_way_come_again_after_a_crash(tmp_path, queue, clock):
    queue.enqueue({"n": 1})
    assert names(queue.dequeue()) == [1]
    queue.close()  # what a crash does too: it ends the connection and the lock
    later = CloudSyncQueue(str(tmp_path / "queue.db"), clock)
    assert later.pending_count() == 1
    assert names(later.peek()) == [1]
    later.close()


def test_items_under_way_come_again_after_close(queue):
    queue.enqueue({"n": 1})
    assert names(queue.dequeue()) == [1]
    queue.close()
    assert queue.pending_count() == 1
    assert names(queue.peek()) == [1]


def test_urgent_items_come_first_and_older_before_newer(queue):
    for name, priority in (("a", 3), ("b", 4), ("c", 1), ("d", 2), ("e", 1), ("f", 3)):
        queue.enqueue({"n": name}, priority)
    assert names(queue.peek()) == ["c", "e", "d", "a", "f", "b"]
    assert names(queue.peek(2)) == ["c", "e"]


def test_priorities_are_those_of_the_documentation(queue):
    assert [(rank.name, int(rank)) for rank in Priority] == [
        ("CRITICAL", 1),
        ("ANOMALY", 2),
        ("TELEMETRY", 3),
        ("LOGS", 4),
    ]
    queue.enqueue({"n": 1})
    assert queue.peek()[0]["priority"] == Priority.TELEMETRY


def test_item_has_the_documented_fields(queue, clock):
    item_id = queue.enqueue({"n": 1}, Priority.LOGS, 60)
    assert queue.peek() == [
        {
            "id": item_id,
            "payload": {"n": 1},
            "priority": 4,
            "created_at": UTC_MS / 1000,
            "ttl_seconds": 60,
            "retry_count": 0,
            "next_retry_at": 0.0,
        }
    ]


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        None,
        {"n": object()},
        {"n": {1, 2}},
        {"n": b"x"},
        {"n": float("nan")},
        {"n": float("inf")},
    ],
)
def test_bad_payload_is_refused_by_name(queue, payload):
    with pytest.raises(ValueError, match="payload: "):
        queue.enqueue(payload)
    assert queue.pending_count() == 0


@pytest.mark.parametrize("priority", [0, 5, -1, "high", None])
def test_bad_priority_is_refused(queue, priority):
    with pytest.raises(ValueError, match="Priority"):
        queue.enqueue({}, priority)
    assert queue.pending_count() == 0


def test_negative_time_to_live_is_refused(queue):
    with pytest.raises(ValueError, match="ttl_seconds: -1"):
        queue.enqueue({}, ttl_seconds=-1)


def test_expire_drops_what_is_over(queue, clock):
    queue.enqueue({"n": "short"}, ttl_seconds=10)
    queue.enqueue({"n": "long"}, ttl_seconds=100)
    queue.enqueue({"n": "for ever"})
    clock.advance(9999)
    assert queue.expire() == 0
    clock.advance(1)
    assert queue.expire() == 1
    clock.advance(1_000_000_000)
    assert queue.expire() == 1
    assert names(queue.peek()) == ["for ever"]
    assert queue.pending_count() == 1


@pytest.mark.parametrize("method", ["peek", "dequeue"])
def test_item_whose_time_is_over_is_not_handed_out(queue, clock, method):
    queue.enqueue({"n": 1}, ttl_seconds=10)
    clock.advance(10_000)
    assert getattr(queue, method)() == []


def test_dequeue_hides_items_until_they_are_acked_or_nacked(queue):
    for name in range(4):
        queue.enqueue({"n": name})
    first = queue.dequeue(2)
    assert names(first) == [0, 1]
    assert names(queue.peek()) == [2, 3]
    assert names(queue.dequeue(1)) == [2]
    assert queue.pending_count() == 4
    assert queue.ack(item["id"] for item in first) == 2
    assert queue.pending_count() == 2
    assert names(queue.dequeue()) == [3]


def test_ack_of_one_and_of_what_is_not_there(queue):
    item_id = queue.enqueue({"n": 1})
    assert queue.ack(item_id) == 1
    assert queue.ack(item_id) == 0
    assert queue.ack([]) == 0
    assert queue.pending_count() == 0


def test_nack_shows_an_item_again_after_a_doubling_wait(queue, clock):
    item_id = queue.enqueue({"n": 1})
    for wait_s in (1, 2, 4, 8, 16, 32, 64, 128, 256, RETRY_MAX_S, RETRY_MAX_S):
        (item,) = queue.dequeue()
        assert queue.nack(item["id"]) == 1
        clock.advance(int(wait_s * 1000) - 1)
        assert queue.peek() == []
        clock.advance(1)
        assert len(queue.peek()) == 1
    assert queue.peek()[0]["id"] == item_id
    assert queue.peek()[0]["retry_count"] == 11
    assert queue.pending_count() == 1


def test_nack_of_several_and_of_what_is_not_there(queue):
    ids = [queue.enqueue({"n": name}) for name in range(3)]
    queue.dequeue()
    assert queue.nack([*ids[:2], 999]) == 2
    assert queue.peek() == []  # the third is leased still
    assert queue.nack(999) == 0


def test_nack_finds_an_item_behind_many_more_urgent_ones(queue):
    queue.enqueue({"n": "last"}, Priority.LOGS)
    (item,) = queue.dequeue()
    for name in range(150):
        queue.enqueue({"n": name}, Priority.CRITICAL)
    assert queue.nack(item["id"]) == 1
    assert "last" not in names(queue.peek(1000))


def test_pending_count_is_readings_and_items(tmp_path, clock):
    store = SQLiteStore(tmp_path / "edge.db")
    queue = CloudSyncQueue(clock=clock)
    queue.bind(store)
    opened = store.open_boot(info(), UTC_MS)
    store.commit(telemetry(opened, 0, [1, 2, 3]))
    queue.enqueue({"n": 1})
    assert queue.pending_count() == 4
    queue.unbind()
    assert queue.pending_count() == 0
    with pytest.raises(RuntimeError):
        queue.peek()
    store.close()


def test_bound_queue_leaves_its_store_open(tmp_path, clock):
    store = SQLiteStore(tmp_path / "edge.db")
    queue = CloudSyncQueue(clock=clock)
    queue.bind(store)
    queue.close()
    assert store.items.add({}, 1, 0.0, 0) == 1
    store.close()
    with pytest.raises(StoreError, match="closed"):
        queue.enqueue({})


# -- maybe_flush -------------------------------------------------------------------


class FakeUploader:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.batches = []

    def post_batch(self, items):
        self.batches.append(items)
        return self.answers.pop(0)


def test_maybe_flush_wakes_the_agents_uploader_and_sends_nothing_itself(tmp_path, clock):
    store = SQLiteStore(tmp_path / "edge.db")
    queue = CloudSyncQueue(clock=clock)
    wakes = []
    queue.bind(store, lambda: wakes.append(1))
    other = FakeUploader()
    assert queue.maybe_flush(other) is False
    assert wakes == []
    queue.enqueue({"n": 1})
    assert queue.maybe_flush(other) is True
    assert wakes == [1]
    assert other.batches == []
    assert queue.pending_count() == 1
    store.close()


def test_maybe_flush_without_an_agent_sends_a_batch(queue):
    queue.enqueue({"n": 1})
    queue.enqueue({"n": 2}, 1)
    uploader = FakeUploader(True)
    assert queue.maybe_flush(uploader) is True
    assert uploader.batches == [[{"n": 2}, {"n": 1}]]
    assert queue.pending_count() == 0
    assert queue.maybe_flush(uploader) is False


def test_maybe_flush_that_fails_keeps_the_items_and_backs_off(queue, clock):
    queue.enqueue({"n": 1})
    uploader = FakeUploader(False, True)
    assert queue.maybe_flush(uploader) is False
    assert queue.pending_count() == 1
    assert queue.peek() == []
    clock.advance(1000)
    assert queue.maybe_flush(uploader) is True
    assert queue.pending_count() == 0


def test_maybe_flush_with_nobody_to_send(queue):
    queue.enqueue({"n": 1})
    assert queue.maybe_flush() is False
    assert names(queue.peek()) == [1]


class RaisingUploader:
    def post_batch(self, items):
        raise OSError("cable")


def test_items_are_not_lost_sight_of_if_the_uploader_raises(queue, clock):
    queue.enqueue({"n": 1})
    with pytest.raises(OSError, match="cable"):
        queue.maybe_flush(RaisingUploader())
    clock.advance(1_000_000)
    assert names(queue.peek()) == [1]
