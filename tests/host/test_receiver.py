"""The reference receiver: what "at least once" becomes "exactly once" by."""

import json
import sqlite3
import threading
import urllib.error
import urllib.request

import pytest
from pyv_edge_tools.receiver import PATH, BadBatchError, open_receiver, parse_batch
from pyv_edge_tools.receiver_store import ReceiverStore


@pytest.fixture
def receiver(tmp_path):
    """Return (base URL, path of the file) of a receiver that runs."""
    store = ReceiverStore(str(tmp_path / "received.db"))
    server = open_receiver("127.0.0.1", 0, store)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", tmp_path / "received.db"
    server.shutdown()
    server.server_close()
    thread.join(10)
    store.close()


def post(base, body, path=PATH):
    """Return (status, parsed reply)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def stats(base):
    with urllib.request.urlopen(base + "/stats", timeout=10) as reply:
        return json.loads(reply.read())


def reading(seq, value=1.5, **identity):
    metadata = {"device": "d", "boot": "0001", "stream": "telemetry", "seq": seq}
    metadata.update(quality="good", **identity)
    return {
        "sensor_name": "d.t",
        "timestamp": 1.0,
        "value": value,
        "unit": "V",
        "metadata": metadata,
    }


def batch(key, *items):
    return {"batch_id": key, "timestamp": 1.0, "count": len(items), "items": list(items)}


def test_batch_is_stored_before_it_is_answered(receiver):
    base, path = receiver
    assert post(base, batch("k1", reading(0), reading(1, None))) == (
        200,
        {"accepted": 2, "duplicates": 0, "repeated": False},
    )
    rows = sqlite3.connect(path).execute("SELECT * FROM reading ORDER BY seq").fetchall()
    assert rows == [
        ("d", "0001", "telemetry", 0, "d.t", 1.0, 1.5, "V", "good"),
        ("d", "0001", "telemetry", 1, "d.t", 1.0, None, "V", "good"),
    ]


def test_known_key_is_answered_with_success_and_not_stored_again(receiver):
    base, _ = receiver
    first = batch("k1", reading(0), {"rule_name": "hot"})
    assert post(base, first)[0] == 200
    assert post(base, first) == (200, {"accepted": 0, "duplicates": 2, "repeated": True})
    assert stats(base) == {
        "unique": 1,
        "items_unique": 1,
        "batches_total": 1,
        "batches_repeated_total": 1,
        "readings_total": 1,
        "out_of_order_total": 0,
        "duplicates_total": 0,
        "items_total": 1,
        "items_repeated_total": 0,
    }


def test_known_reading_in_a_new_batch_is_not_stored_again(receiver):
    base, _ = receiver
    post(base, batch("k1", reading(0), reading(1)))
    assert post(base, batch("k2", reading(1), reading(2))) == (
        200,
        {"accepted": 1, "duplicates": 1, "repeated": False},
    )
    told = stats(base)
    assert (told["unique"], told["readings_total"], told["duplicates_total"]) == (3, 4, 1)


@pytest.mark.parametrize(
    "other", [{"device": "e"}, {"boot": "0002"}, {"stream": "events"}, {"seq": 1}]
)
def test_each_part_of_the_identity_counts(receiver, other):
    base, _ = receiver
    changed = reading(0)
    changed["metadata"].update(other)
    post(base, batch("k1", reading(0), changed))
    assert stats(base)["unique"] == 2


def test_items_are_known_by_their_id(receiver):
    base, _ = receiver
    item = {"rule_name": "hot", "metadata": {"item_id": "s-1"}}
    post(base, batch("k1", item))
    post(base, batch("k2", item, {"rule_name": "cold"}))
    told = stats(base)
    assert (told["items_unique"], told["items_total"], told["items_repeated_total"]) == (2, 3, 1)


def test_totals_survive_a_restart(receiver, tmp_path):
    base, path = receiver
    post(base, batch("k1", reading(0)))
    again = ReceiverStore(str(path))
    assert again.stats()["unique"] == 1
    assert again.add("k1", [reading(0)])["repeated"] is True
    again.close()


def test_many_clients_at_once(receiver):
    base, _ = receiver
    results = []

    def client(number):
        for turn in range(10):
            results.append(post(base, batch(f"k{turn}", reading(turn)))[0])
            results.append(post(base, batch(f"k{number}-{turn}", reading(100 + turn)))[0])

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [200] * 80
    told = stats(base)
    assert told["unique"] == 20
    assert told["batches_total"] == 50
    assert told["batches_repeated_total"] == 30
    assert told["duplicates_total"] == 30


# -- what is refused ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "body: is not JSON"),
        (b"{", "body: is not JSON"),
        (b"\xff\xfe\x00", "body: is not JSON"),
        (b"[" * 100_000, "body: is not JSON"),
        (b"[]", "body: must be an object"),
        (b"null", "body: must be an object"),
        ({}, "batch_id: must be a text"),
        ({"batch_id": 3}, "batch_id: must be a text"),
        ({"batch_id": "", "items": []}, "batch_id: must be a text"),
        ({"batch_id": "k"}, "items: must be a list of objects"),
        ({"batch_id": "k", "items": {}}, "items: must be a list of objects"),
        ({"batch_id": "k", "items": [3]}, "items: must be a list of objects"),
        ({"batch_id": "k", "items": []}, "count: None, but there are 0 items"),
        ({"batch_id": "k", "items": [{}], "count": 2}, "count: 2, but there are 1 items"),
        (batch("k", {"metadata": []}), "items[0].metadata: must be an object"),
        (batch("k", {}, {"metadata": None}), "items[1].metadata: must be an object"),
    ],
)
def test_bad_body_is_refused_with_a_reason(receiver, body, reason):
    base, _ = receiver
    status, reply = post(base, body)
    assert status == 400
    assert reply["error"].startswith(reason)
    assert stats(base)["batches_total"] == 0


UNSTORABLE = {
    "seq is a list": reading([]),
    "seq is an object": reading({}),
    "seq is null": reading(None),
    "seq of 64 bits": reading(2**63),
    "value is a list": reading(0, [1]),
    "value of 71 bits": reading(0, 2**70),
    "half a surrogate pair": reading(0, device="\ud800"),
    "item_id is a list": {"metadata": {"item_id": [1]}},
    "item_id of 71 bits": {"metadata": {"item_id": 2**70}},
}


@pytest.mark.parametrize("item", UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_item_that_no_table_can_hold_is_refused_with_a_reason(receiver, item):
    # Not a server's fault (503), after which a client would send it again for ever.
    base, _ = receiver
    status, reply = post(base, batch("k", item))
    assert status == 400
    assert reply["error"].startswith("items[0]")
    assert stats(base)["batches_total"] == 0


def test_refused_batch_leaves_nothing_of_itself(receiver):
    base, _ = receiver
    post(base, {**batch("k", reading(0)), "count": 9})
    assert post(base, batch("k", reading(0)))[1] == {
        "accepted": 1,
        "duplicates": 0,
        "repeated": False,
    }


def test_other_paths_are_not_found(receiver):
    base, _ = receiver
    assert post(base, batch("k", reading(0)), "/elsewhere")[0] == 404
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(base + "/elsewhere", timeout=10)
    assert stats(base)["unique"] == 0


@pytest.mark.parametrize(
    ("header", "status"),
    [("Content-Length: 99999999999", b"413"), ("Content-Length: x", b"411"), ("X: y", b"411")],
)
def test_length_is_checked_before_the_body_is_read(receiver, header, status):
    import socket

    base, _ = receiver
    address = ("127.0.0.1", int(base.rpartition(":")[2]))
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        reply = b"".join(iter(lambda: connection.recv(4096), b""))
    assert reply.split()[1] == status


def test_full_disk_is_the_servers_fault_and_nothing_is_kept(tmp_path):
    store = ReceiverStore(str(tmp_path / "received.db"))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    many = [reading(seq, unit="x" * 100) for seq in range(5000)]
    with pytest.raises(sqlite3.Error, match="full"):
        store.add("k", many)
    assert store.stats()["unique"] == 0
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.add("k", many)["accepted"] == 5000
    store.close()


def test_parse_batch_returns_key_and_items():
    assert parse_batch(json.dumps(batch("k", {"a": 1})).encode()) == ("k", [{"a": 1}])
    with pytest.raises(BadBatchError, match="count"):
        parse_batch(b'{"batch_id": "k", "items": [], "count": 1}')
