"""Whatever the cloud does, it has each acknowledged reading once in the end."""

from contextlib import contextmanager

import pytest
from host.fakes import FixedRandom
from host.processes import certificates
from host.servers import running
from host.store_rig import DAY_MS, StoreRig
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.sinks.http import HTTPCloudUploader, HTTPOptions
from pyv_edge_agent.store import Limits
from pyv_edge_agent.terms import Terms
from pyv_edge_agent.uploader import UploadWorker
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_tools.receiver import open_receiver
from pyv_edge_tools.receiver_script import Reply, Script
from pyv_edge_tools.receiver_store import ReceiverStore


@contextmanager
def receiving(folder, script="", certificate=None, port=0):
    store = ReceiverStore(str(folder / "received.db"))
    try:
        server = open_receiver("127.0.0.1", port, store, Script(script), certificate)
        with running(server) as at:
            yield at, store
    finally:
        store.close()


class Cloudy(StoreRig):
    """A store and what sends it, to be stepped; time goes on as the uploader asks."""

    def connect(self, port, timeout=2.0, batch_size=50, scheme="http", **options):
        self.queue = CloudSyncQueue(clock=self.clock)
        self.queue.bind(self.store)
        self.client = HTTPCloudUploader(
            f"{scheme}://127.0.0.1:{port}/v1/ingest",
            "",
            timeout,
            options=HTTPOptions(**options),
        )
        self.worker = UploadWorker(
            self.store,
            self.queue,
            Terms(self.client, Egress(PrivacyPolicy()), batch_size, 1.0, 60.0),
            self.clock,
            FixedRandom(0.5),
        )

    def drain(self):
        for _ in range(500):
            wait_s = self.worker.step()
            if not (self.store.sinks.pending("http") or self.store.items.pending("http")):
                return
            self.clock.advance(round(wait_s * 1000) + 1)
        raise AssertionError(f"not drained: {self.worker.problem}")


@pytest.fixture
def rig(tmp_path):
    made = Cloudy(tmp_path / "edge.db")
    yield made
    made.client.close()
    made.close()


SCRIPTS = [
    "503*7",
    "429:2*3, ok, 429:1",
    "401*3, 403",
    "500*6, 502, 504",
    "half*3, ok, half",
    "die*3, ok, die",
    "drop*3",
    "html*2",
    "hang:5, slow:0.1",
    "503, half, 429:1, die, drop, 401, html, hang:5, 500, ok, die, half, 302",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_reading_arrives_once(rig, tmp_path, script):
    with receiving(tmp_path, script) as (port, store):
        rig.connect(port, timeout=0.3)
        rig.add(330, step_ms=1)
        rig.store.items.add({"n": 1}, 3, 0.0, 0)
        rig.drain()
        stats = store.stats()
    assert (stats["unique"], stats["items_unique"]) == (330, 1)
    assert stats["duplicates_total"] == 0  # a batch that is repeated has its key
    sink = rig.ledger().sinks[0]
    assert (sink.acknowledged, sink.pending, sink.dead) == (330, 0, 0)


def test_batches_that_are_too_large_are_halved_and_that_is_remembered(rig, tmp_path):
    with receiving(tmp_path, "413*3") as (port, store):
        rig.connect(port, batch_size=200)
        rig.add(1000, step_ms=1)
        rig.drain()
        stats = store.stats()
    assert stats["unique"] == 1000
    assert stats["batches_total"] == 1000 / 25


def test_reading_that_is_refused_is_singled_out_and_buried(rig, tmp_path):
    with receiving(tmp_path) as (port, store):
        rig.connect(port)
        rig.add(75, step_ms=1)
        rig.add(1, value=1e300)  # more than the receiver takes
        rig.add(75, step_ms=1)
        rig.drain()
        stats = store.stats()
    assert stats["unique"] == 150
    (letter,) = rig.store.dead_letters.all()
    assert (letter["kind"], letter["origin"]) == ("reading", "board-1/abcd1234/75")
    assert letter["reason"] == "status 400"
    sink = rig.ledger().sinks[0]
    assert (sink.acknowledged, sink.dead, sink.pending) == (150, 1, 0)
    assert [row["action"] for row in rig.store.audit_logs(1)] == ["dead_lettered"]
    assert rig.worker.problem == ""


def test_cloud_that_refuses_everything_makes_no_dead_letters(rig, tmp_path):
    with receiving(tmp_path, "400*400") as (port, store):
        rig.connect(port)
        rig.add(60, step_ms=1)
        for _ in range(60):
            rig.clock.advance(round(rig.worker.step() * 1000) + 1)
        assert rig.store.dead_letters.count == 0
        assert rig.worker.problem == "status 400"
        assert rig.store.sinks.pending("http") == 60
        del store


def test_dead_letter_can_be_sent_again(rig, tmp_path):
    with receiving(tmp_path, "ok, 400, ok, 400") as (port, store):
        rig.connect(port)
        rig.add(10)
        rig.worker.step()
        rig.store.items.add({"n": 5}, 3, 0.0, 0)
        rig.add(3)
        rig.drain()
        (letter,) = rig.store.dead_letters.all()
        assert letter["kind"] == "item"
        assert rig.store.dead_letters.retry([letter["id"], 99]) == 1
        rig.drain()
        assert store.stats()["items_unique"] == 1
    assert rig.store.dead_letters.count == 0


def test_dead_letters_can_be_dropped_and_a_sink_forgotten(rig, tmp_path):
    with receiving(tmp_path, "ok, 400, ok, 400") as (port, _):
        rig.connect(port)
        rig.add(10)
        rig.worker.step()
        rig.store.sinks.register("other")
        for number in (1, 2):
            rig.store.items.add({"n": number}, 3, 0.0, 0)
        rig.drain()
        (letter,) = rig.store.dead_letters.all()
        with rig.store.transaction() as tx:
            rig.store.dead_letters.write(tx, "other", "item", 3, [("o", "{}", "no")] * 2)
        assert rig.store.dead_letters.count == 3
        assert rig.store.dead_letters.drop([letter["id"], 99]) == 1
        assert rig.store.dead_letters.count == 2
        assert rig.store.sinks.pending_most() == 10  # the other one has nothing
        rig.store.sinks.forget("other")
        assert rig.store.dead_letters.count == 0
        assert rig.store.sinks.pending_most() == 0
        assert [row["action"] for row in rig.store.audit_logs()][-2:] == [
            "dead_letters_dropped",
            "sink_forgotten",
        ]
    assert rig.ledger().sinks[0].name == "http"
    rig.reopen()
    assert rig.store.sinks.names == ["http"]
    assert rig.store.dead_letters.count == 0


def test_wrong_certificate_is_no_delivery(rig, tmp_path):
    ca, cert, key, other = certificates(tmp_path / "tls")
    with receiving(tmp_path, certificate=(str(cert), str(key))) as (port, store):
        rig.connect(port, scheme="https", ca_file=other)
        rig.add(10)
        rig.worker.step()
        assert "its certificate is not trusted" in rig.worker.problem
        assert store.stats()["unique"] == 0
        rig.client.close()
        rig.connect(port, scheme="https", ca_file=ca, is_compressed=True)
        rig.drain()
        assert store.stats()["unique"] == 10


def test_week_without_a_cloud(tmp_path):
    """What there is room for arrives when it is back, the rest is on record, newest data first."""
    rig = Cloudy(
        tmp_path / "edge.db", None, Limits(max_size=2_000_000, high_water=0.9, low_water=0.8)
    )
    with receiving(tmp_path) as (port, _):
        pass
    rig.connect(port, batch_size=500)
    for _ in range(7 * 24):
        rig.add(360, step_ms=10_000)  # an hour
        rig.keep_up()
        rig.worker.step()
    total = 7 * 24 * 360
    assert rig.worker.is_circuit_open
    assert rig.worker.attempts_failed_total < 7 * 24 * 61
    assert rig.ledger().total("evicted") > 0
    with receiving(tmp_path, port=port) as (_, store):
        rig.clock.advance(61_000)
        rig.add(5, value=7)
        rig.drain()
        stats = store.stats()
    sink = rig.ledger().sinks[0]
    assert sink.acknowledged + sink.evicted == total + 5
    assert stats["unique"] == sink.acknowledged
    assert stats["duplicates_total"] == 0
    assert stats["out_of_order_total"] > 0  # what is new did not wait for what is old
    told = rig.rows("SELECT sum(count) FROM gap WHERE cause = 'evicted' AND is_queued")
    assert told == [(rig.ledger().total("evicted"),)]
    rig.client.close()
    rig.close()
    assert DAY_MS == 86_400_000


# -- the script --------------------------------------------------------------------


def test_script_is_read():
    script = Script(" 503*2, 429:2,hang:5 , half,, ")
    assert [script.next() for _ in range(5)] == [
        Reply("status", 503),
        Reply("status", 503),
        Reply("status", 429, 2.0),
        Reply("hang", 200, 5.0),
        Reply("half"),
    ]
    assert (script.left, script.next()) == (0, Reply())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("explode", "'explode' is neither a status nor one of ok, slow"),
        ("99", "'99' is neither a status"),
        ("503*0", "how often must be"),
        ("503*x", "how often must be"),
        ("hang", "say for how long, as in hang:5"),
        ("hang:x", "'x' is no number of seconds"),
        ("hang:-1", "seconds must be in 0..3600"),
    ],
)
def test_script_that_is_wrong_is_refused_by_name(text, problem, capsys, tmp_path):
    from pyv_edge_agent.cli import main

    with pytest.raises(ValueError, match="script: ") as caught:
        Script(text)
    assert problem in str(caught.value)
    command = ["receive", "--port", "0", "--db", str(tmp_path / "r.db"), "--script", text]
    assert main(command) == 2
    assert problem in capsys.readouterr().err
