"""What an agent is that takes its first description word by word; for comparison only.

    python poll_and_commit.py SOURCE_PORT UPSTREAM_PORT

One reading after the other: INSERT and commit, then into a queue whose database is opened and
closed for each operation (WAL for the store, as described; nothing said of the queue), then an
upload inside the loop once a batch is there. MQTT messages are acknowledged by the library as
they come, and wait in memory for their turn.
"""

import json
import queue
import sqlite3
import sys
import time
from contextlib import closing

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

BATCH = 100
FLUSH_S = 5.0


def open_store(path: str) -> sqlite3.Connection:
    """Return the store."""
    store = sqlite3.connect(path)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute(
        "CREATE TABLE IF NOT EXISTS readings (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " sensor_name TEXT, timestamp REAL, value REAL, unit TEXT, metadata TEXT)"
    )
    store.commit()
    return store


class SyncQueue:
    """Payloads on the disk until they are uploaded."""

    def __init__(self, path: str) -> None:
        self._path = path
        with closing(self._open()) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS sync_queue (id INTEGER PRIMARY KEY AUTOINCREMENT,"
                " payload TEXT, priority INTEGER, created_at REAL, ttl_seconds INTEGER,"
                " retry_count INTEGER DEFAULT 0, next_retry_at REAL DEFAULT 0)"
            )
            connection.execute(
                "CREATE INDEX IF NOT EXISTS due ON sync_queue (priority, next_retry_at)"
            )
            connection.commit()

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path)

    def enqueue(self, payload: str) -> None:
        """Add a payload."""
        with closing(self._open()) as connection:
            connection.execute(
                "INSERT INTO sync_queue (payload, priority, created_at, ttl_seconds)"
                " VALUES (?, 3, ?, 86400)",
                (payload, time.time()),
            )
            connection.commit()

    def pending_count(self) -> int:
        """Return how many wait."""
        with closing(self._open()) as connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM sync_queue").fetchone()
            return int(count)

    def dequeue(self, limit: int) -> list[tuple[int, str]]:
        """Return the next ones that are due."""
        with closing(self._open()) as connection:
            return connection.execute(
                "SELECT id, payload FROM sync_queue WHERE next_retry_at <= ?"
                " ORDER BY priority, id LIMIT ?",
                (time.time(), limit),
            ).fetchall()

    def ack(self, ids: list[int]) -> None:
        """Forget what was uploaded."""
        with closing(self._open()) as connection:
            connection.executemany("DELETE FROM sync_queue WHERE id = ?", [(one,) for one in ids])
            connection.commit()

    def nack(self, ids: list[int]) -> None:
        """Try again later."""
        with closing(self._open()) as connection:
            connection.executemany(
                "UPDATE sync_queue SET retry_count = retry_count + 1, next_retry_at = ?"
                " WHERE id = ?",
                [(time.time() + 2.0, one) for one in ids],
            )
            connection.commit()


def upload(client: mqtt.Client, waiting: SyncQueue) -> None:
    """Send a batch, and wait for the answer."""
    batch = waiting.dequeue(BATCH)
    if not batch:
        return
    ids = [one for one, _ in batch]
    items = [json.loads(payload) for _, payload in batch]
    if not client.is_connected():
        waiting.nack(ids)
        return
    body = {"batch_id": f"pyv-{time.time_ns() // 1_000_000}", "items": items}
    told = client.publish("cloud/batch", json.dumps(body), qos=1)
    try:
        told.wait_for_publish(10.0)
        is_sent = told.is_published()
    except (RuntimeError, ValueError):  # the library could not send it
        is_sent = False
    if is_sent:
        waiting.ack(ids)
    else:
        waiting.nack(ids)


def main(source_port: int, upstream_port: int) -> None:
    """Take readings for ever."""
    arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    source = mqtt.Client(CallbackAPIVersion.VERSION2, "poll-source", clean_session=False)
    source.on_connect = lambda client, *_: client.subscribe("bench/+/temp", 1)
    source.on_message = lambda _client, _given, one: arrived.put((one.topic, bytes(one.payload)))
    source.connect("127.0.0.1", source_port)
    source.loop_start()
    cloud = mqtt.Client(CallbackAPIVersion.VERSION2, "poll-cloud")
    cloud.connect("127.0.0.1", upstream_port)
    cloud.loop_start()
    store, waiting = open_store("store.db"), SyncQueue("sync_queue.db")
    flushed_s = time.monotonic()
    while True:
        try:
            topic, payload = arrived.get(timeout=1.0)
        except queue.Empty:
            upload(cloud, waiting)
            continue
        found = json.loads(payload)
        name = topic.split("/")[1]
        reading = {
            "sensor_name": name,
            "timestamp": found["timestamp"] / 1000,
            "value": float(found["value"]),
            "unit": "Cel",
            "metadata": {},
        }
        store.execute(
            "INSERT INTO readings (sensor_name, timestamp, value, unit, metadata)"
            " VALUES (?, ?, ?, ?, ?)",
            (name, reading["timestamp"], reading["value"], "Cel", "{}"),
        )
        store.commit()
        waiting.enqueue(json.dumps(reading))
        now_s = time.monotonic()
        if waiting.pending_count() >= BATCH or now_s - flushed_s >= FLUSH_S:
            flushed_s = now_s
            upload(cloud, waiting)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
