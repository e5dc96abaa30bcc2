"""Another file at the store's path while an agent runs: its ids stand for other channels."""

import json
from types import SimpleNamespace

import pytest
from host.fakes import FakeClock
from host.test_store import UTC_MS, info, telemetry
from pyv_edge_agent.dashboard.api import Api
from pyv_edge_agent.dashboard.stream import Stream
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.latest import Latest
from pyv_edge_agent.store import ChannelInfo, SQLiteStore
from pyv_edge_agent.view.store_view import View
from pyv_edge_core.privacy import PrivacyPolicy

CELLAR = (ChannelInfo("hum", "cellar.hum", "%", -1),)


class Meddled(SQLiteStore):
    """A store with something that happens just before it answers a query for its readings."""

    meddle = None

    def rows(self, statement, parameters=()):
        if self.meddle is not None and "sync" in statement:
            meddle, self.meddle = self.meddle, None
            meddle()
        return super().rows(statement, parameters)


@pytest.fixture
def store(tmp_path):
    other = SQLiteStore(tmp_path / "other.db")
    other.sinks.register("http")
    cellar = info(device="board-2", alias="cellar", channels=CELLAR)
    other.commit(telemetry(other.open_boot(cellar, UTC_MS), 0, [555]))
    other.close()
    made = Meddled(tmp_path / "edge.db")
    made.sinks.register("http")
    made.commit(telemetry(made.open_boot(info(), UTC_MS), 0, [2153]))
    yield made
    made.close()


def replace(store):
    store.path.with_name("other.db").replace(store.path)
    stood = store.standing
    store.reopen()
    assert store.standing != stood


def sent(store, egress):
    batch = store.sinks.next_batch("http")
    (found,) = egress.readings(batch.rows, batch.channels)
    assert store.sinks.acknowledge("http", batch)
    return found["sensor_name"], found["value"], found["unit"], found["metadata"]["device"]


def test_readings_are_called_as_their_own_file_calls_them(store):
    egress = Egress(PrivacyPolicy([{"pattern": "porch.temp", "action": "clamp", "high": 20}]))
    assert sent(store, egress) == ("porch.temp", 20.0, "Cel", "board-1")
    replace(store)
    assert sent(store, egress) == ("cellar.hum", 55.5, "%", "board-2")


def test_rows_of_a_file_that_came_in_between_are_of_no_batch(store):
    egress = Egress(PrivacyPolicy())
    store.meddle = lambda: replace(store)
    assert store.sinks.next_batch("http") is None
    assert sent(store, egress) == ("cellar.hum", 55.5, "%", "board-2")
    assert store.sinks.pending("http") == 0


def test_api_gives_no_channel_a_reading_of_the_file_before(store):
    latest = Latest(store.generation)
    agent = SimpleNamespace(store=store, clock=FakeClock(), _ingest=SimpleNamespace(latest=latest))
    agent.privacy = PrivacyPolicy()
    api = Api(agent, SimpleNamespace(tree=lambda told: told), is_local=True)

    def told():
        return {one["sensor"]: one["value"] for one in api.channels()["channels"]}

    assert told()["porch.temp"] == 21.53
    replace(store)
    assert told() == {"cellar.hum": None}  # whoever stores has not looked yet
    latest.adopt(store.generation, is_same=False)
    assert told() == {"cellar.hum": 55.5}


def test_page_shows_what_comes_under_the_names_of_the_new_file(store):
    latest = Latest(store.generation)
    agent = SimpleNamespace(store=store, clock=FakeClock(), _ingest=SimpleNamespace(latest=latest))
    agent.started_ms = agent.clock.monotonic_ms()
    policy = PrivacyPolicy()
    shown = SimpleNamespace(tree=lambda told: told)
    stream = Stream(agent, lambda: View(store, policy, is_local=True), dict, shown)
    messages = stream.messages()

    def told(batch, kind):
        latest.note(batch, UTC_MS)
        for message in messages:
            name, data = message.decode().splitlines()[-3:-1]
            if name == f"event: {kind}":
                return json.loads(data.removeprefix("data: "))
        raise AssertionError("the stream has ended")

    next(messages)
    (found,) = told(telemetry(store.open_boot(info(), UTC_MS), 1, [2000]), "readings")["readings"]
    assert found[0::2] == ["porch.temp", 20.0]
    replace(store)
    latest.adopt(store.generation, is_same=False)
    cellar = info(device="board-2", alias="cellar", channels=CELLAR)
    (found,) = told(telemetry(store.open_boot(cellar, UTC_MS), 1, [560]), "readings")["readings"]
    assert found[0::2] == ["cellar.hum", 56.0]
