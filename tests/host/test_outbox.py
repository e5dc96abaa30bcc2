"""CloudSyncQueue: priority, time to live, leases, retries, and what goes for want of room."""

import json
import random

import pytest
from host.asking import ask
from host.fakes import UTC_MS, FakeClock
from host.store_rig import StoreRig
from host.test_chart import lose
from host.test_store import info, telemetry
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.outbox import RETRY_MAX_S, CloudSyncQueue, Priority
from pyv_edge_agent.store import SQLiteStore, WriteBatch


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


# -- no room -----------------------------------------------------------------------


def text_of(name, size=100):
    """Return a payload of that many bytes as JSON."""
    bare = json.dumps({"n": name, "fill": ""})
    return json.dumps({"n": name, "fill": "x" * (size - len(bare))})


def put(rig, name, priority=3, size=100):
    rig.store.items.add(json.loads(text_of(name, size)), priority, 0.0, 0)


def waiting(rig):
    """Return (sink, name) of what waits in the file, oldest first; compare all counts with it."""
    rows = rig.rows("SELECT sink, payload FROM sync_queue ORDER BY id")
    assert (rig.store.items.count, rig.store.items.size) == (
        len(rows),
        sum(len(payload) for _, payload in rows),
    )
    for sink in {row[0] for row in rows}:
        sizes = [len(payload) for name, payload in rows if name == sink]
        assert rig.store.items.pending(sink) == len(sizes)
        assert rig.store.items.pending_size(sink) == sum(sizes)
    return [(sink, json.loads(payload)["n"]) for sink, payload in rows]


def left(rig):
    return [name for _, name in waiting(rig)]


def test_the_least_urgent_go_first_and_of_those_the_oldest(rig):
    rig.store.items.size_max = 500
    for name, priority in (("a", 3), ("b", 4), ("c", 4), ("d", 1), ("e", 3)):
        put(rig, name, priority)
    assert (left(rig), rig.store.items.evicted_total) == (list("abcde"), 0)  # just full
    put(rig, "f", 3)
    assert (left(rig), rig.store.items.evicted_total) == (list("acdef"), 1)
    put(rig, "g", 3)
    assert (left(rig), rig.store.items.evicted_total) == (list("adefg"), 2)
    put(rig, "h", 2)
    assert (left(rig), rig.store.items.evicted_total) == (list("defgh"), 3)
    put(rig, "i", 1, size=201)  # one byte more than two of them take
    assert (left(rig), rig.store.items.evicted_total) == (list("dhi"), 6)
    rig.reopen()
    assert left(rig) == list("dhi")


def test_item_that_is_less_urgent_than_all_that_waits_goes_itself(rig):
    rig.store.items.size_max = 200
    put(rig, "a", 2)
    put(rig, "b", 3)
    put(rig, "c", 4)
    assert (left(rig), rig.store.items.evicted_total) == (["a", "b"], 1)


@pytest.mark.parametrize("seed", range(6))
def test_what_waits_is_what_a_simple_model_keeps(rig, seed):
    """Two sinks, items of any size and priority, some delivered, the store opened anew."""
    rng = random.Random(seed)
    sinks = ["http", "mqtt"]
    for sink in sinks:
        rig.store.sinks.register(sink)
    model, evicted = [], 0  # of (priority, -number, sink, name, size), in the order they came
    size_max = rig.store.items.size_max = 3000
    for name in range(200):
        if rng.random() < 0.05:
            rig.reopen()
            rig.store.items.size_max = size_max
            evicted = 0  # it is counted since the agent's start
        if model and rng.random() < 0.2:
            sink = rng.choice(sinks)
            sent = [one["id"] for one in rig.store.items.due(sink, rng.randrange(4))]
            assert rig.store.items.remove(sent) == len(sent)
            own = sorted(
                (one for one in model if one[2] == sink), key=lambda one: (one[0], -one[1])
            )
            model = [one for one in model if one not in own[: len(sent)]]
        priority, size = rng.randint(1, 4), rng.randint(50, 400)
        put(rig, name, priority, size)
        for place, sink in enumerate(sinks):
            model.append((priority, -(2 * name + place), sink, name, size))
        while sum(one[4] for one in model) > size_max:
            model.remove(max(model))
            evicted += 1
        assert waiting(rig) == [one[2:4] for one in model]
        assert rig.store.items.evicted_total == evicted
    assert evicted > 0


def test_bound_holds_however_often_one_transaction_writes(rig):
    """As when dead letters are queued again: each is a write of its own."""
    items = rig.store.items
    items.size_max = 1000
    with rig.store.transaction() as tx:
        letters = [(f"item {n}", text_of(f"dead {n}"), "422") for n in range(5)]
        rig.store.dead_letters.write(tx, "", "item", 3, letters)
    for name in range(8):
        put(rig, name)
    ids = [one["id"] for one in rig.store.dead_letters.all()]
    assert rig.store.dead_letters.retry(sorted(ids)) == 5
    assert left(rig) == [*range(3, 8), *(f"dead {n}" for n in range(5))]
    assert (items.size, items.evicted_total) == (1000, 3)


def test_smaller_bound_takes_no_more_than_has_to_go(rig):
    """One commit queues the gap, then the items: each write must know what the other has done."""
    for name in range(20):
        put(rig, name)
    rig.store.items.size_max = 1000  # as a reload does
    batch = WriteBatch()
    batch.stream(rig.opened.boot_id, 0, 0).move(lost=3)
    batch.gaps.append((rig.opened.boot_id, 0, 0, 2, "overwritten", UTC_MS, 0))
    batch.items += [(text_of("new"), 3, 0.0, 0)]
    rig.seq = 3
    rig.store.commit(batch)
    newest = rig.rows("SELECT payload FROM sync_queue ORDER BY id DESC LIMIT 2")
    new, gap = (json.loads(payload) for (payload,) in newest)
    assert (gap["type"], new["n"]) == ("gap", "new")
    assert 900 < rig.store.items.size <= 1000
    assert rig.store.items.count == 22 - rig.store.items.evicted_total


def test_transaction_that_fails_evicts_nothing(rig, log):
    rig.store.items.size_max = 300
    for name in range(3):
        put(rig, name)

    def fail():
        with rig.store.transaction() as tx:
            rig.store.items.write(tx, [(text_of("never"), 1, 0.0, 0)])
            raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        fail()
    assert (left(rig), rig.store.items.evicted_total, log.warnings()) == ([0, 1, 2], 0, [])
    put(rig, 3)
    assert (left(rig), rig.store.items.evicted_total) == ([1, 2, 3], 1)


def test_item_that_is_under_way_when_it_goes_is_not_sent_again(rig, clock):
    rig.store.items.size_max = 300
    queue = CloudSyncQueue(clock=clock)
    queue.bind(rig.store)
    for name in range(3):
        put(rig, name)
    taken = queue.dequeue(2)
    put(rig, 3)
    assert names(queue.still_there(taken)) == [1]
    assert queue.ack([one["id"] for one in taken]) == 1
    assert left(rig) == [2, 3]
    assert rig.store.items.evicted_total == 1


def test_sinks_are_not_told_of_a_gap_but_the_ledger_has_it(tmp_path):
    """What goes are messages about what is stored: no reading, no event, no gap record."""
    rig = StoreRig(tmp_path / "edge.db")
    rig.store.sinks.register("http")
    rig.add(10)
    lose(rig, 7)
    rig.add(10)
    assert rig.store.items.pending("http") == 1
    before = rig.ledger()
    rig.store.items.size_max = 300
    for name in range(3):
        put(rig, name)
    assert waiting(rig) == [("http", name) for name in range(3)]  # the gap was the oldest
    assert rig.store.items.evicted_total == 1
    assert rig.ledger().to_dict()["boots"] == before.to_dict()["boots"]
    assert rig.rows("SELECT sum(count) FROM gap") == [(7,)]
    assert rig.send_all() == 20
    assert rig.verdict().fits
    rig.close()


def test_log_says_once_that_items_go_and_once_that_there_is_room(rig, log):
    items = rig.store.items
    items.size_max = 1000
    for name in range(10):
        put(rig, name)
    assert log.warnings() == []
    for name in range(5):
        put(rig, name)
    (full,) = log.warnings()
    assert full.endswith(
        "the queue is full (0.001 MB): the least urgent items go, the oldest first;"
        " see cloud.queue_max_mb"
    )
    due = [one["id"] for one in items.due("", 10)]
    assert items.remove(due[:1]) == 1  # 900 of 1000 bytes: as good as full
    assert log.warnings() == [full]
    assert items.remove(due[1:2]) == 1
    assert log.warnings()[1:] == [
        f"{rig.path}: the queue has room again; 5 items went for want of it"
    ]
    for name in range(5):
        put(rig, name, size=400)  # after each that goes, the queue is less than full
    assert log.warnings()[2:] == [full]
    assert items.remove([one["id"] for one in items.due("", 10)]) == 2
    assert log.warnings()[3].endswith(f"; {items.evicted_total - 5} items went for want of it")


def test_agent_tells_what_went_for_want_of_room(start):
    agent = start(cloud={"queue_max_mb": 0.01})
    for name in range(30):
        agent._cloud.enqueue(json.loads(text_of(name, 1000)), Priority.LOGS)
    told = ask(agent, "/health").told
    assert told["components"]["queue"]["status"] == "degraded"
    evicted = told["store"]["items_evicted_total"]
    assert 15 <= evicted == 30 - len(agent._cloud.peek())
    metrics = ask(agent, "/metrics/prometheus").body.decode()
    assert f'pyv_edge_queue_items_dropped_total{{cause="evicted"}} {evicted}' in metrics
