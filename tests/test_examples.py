"""The examples do what they say: each is run as its docstring shows, and what it shows comes."""

import pytest
from example_rig import Example, as_words
from host.processes import influxd, listens, mosquitto, nats_server
from host.waiting import wait_for


@pytest.fixture
def example(tmp_path):
    return lambda place: Example(place, tmp_path / "example")


def test_http_receive(example):
    made = example("adapters/http_receive")
    with made.agent():
        url = f"http://127.0.0.1:{made.port(8081)}/ingest"
        wait_for(lambda: listens(made.port(8081)), "the agent", 30)
        assert made.run("send.py", url).splitlines() == made.shown("send.py", "python send.py")
        assert made.query() == as_words(made.shown("send.py", "pyv-edge-host query"))


def test_http_poll(example):
    made = example("adapters/http_poll")
    with made.process("weather.py", made.port(8090)):
        wait_for(lambda: listens(made.port(8090)), "the service", 30)
        with made.agent():
            wait_for(lambda: len(made.stored()) == 4, "four readings", 30)
            assert made.query() == as_words(made.shown("weather.py", "pyv-edge-host query"))


def test_mqtt(example, tmp_path):
    made = example("adapters/mqtt")
    broker = mosquitto(tmp_path / "broker", made.port(1883)).start()
    try:
        with made.agent():
            # Published before, it would be nobody's.
            wait_for(lambda: made.log().count("receives from") == 2, "the subscriptions", 30)
            told = made.run("publish.py", made.port(1883)).splitlines()
            assert told == made.shown("publish.py", "python publish.py")
            wait_for(lambda: len(made.stored()) == 5, "five readings", 30)
        shown = as_words(made.shown("publish.py", "pyv-edge-host query"))
        assert sorted(made.query()) == sorted(shown)  # two devices are no order
        made.run("publish.py", made.port(1883))  # while the agent is away, as it proposes
        with made.process("-m", "pyv_edge_agent.cli", "run", "--config", "edge.toml"):
            wait_for(lambda: len(made.stored()) == 10, "what was published meanwhile", 30)
    finally:
        broker.stop()


def test_sink_http(example):
    made = example("sinks/http")
    with made.process("cloud.py", made.port(8090)):
        wait_for(lambda: listens(made.port(8090)), "the endpoint", 30)
        with made.agent():
            made.wait_logged(made.shown("cloud.py", "pyv-edge-host run"))


def test_sink_mqtt(example, tmp_path):
    made = example("sinks/mqtt")
    broker = mosquitto(tmp_path / "broker", made.port(1883)).start()
    try:
        with made.process("watch.py", made.port(1883)):
            made.wait_logged(["watching"])
            with made.agent():
                made.wait_logged(made.shown("watch.py", "pyv-edge-host run"))
    finally:
        broker.stop()


def test_sink_nats(example, tmp_path):
    made = example("sinks/nats")
    server = nats_server(tmp_path / "nats", made.port(4222)).start()
    try:
        with made.agent():
            wait_for(lambda: made.is_sent("nats"), "the reading", 30)
        told = made.run("read.py", made.port(4222))
        assert told.splitlines() == made.shown("read.py", "python read.py")
    finally:
        server.stop()


def test_sink_influxdb(example, tmp_path):
    made = example("sinks/influxdb")
    server = influxd(tmp_path / "influx")
    made.ports["8086"] = server.port
    try:
        assert made.run("read.py", server.port, "CREATE DATABASE edge") == ""
        with made.agent():
            wait_for(lambda: made.is_sent("influxdb"), "the reading", 30)
        told = made.run("read.py", server.port, "SELECT device, unit, value FROM pyvorin")
        assert told.splitlines() == made.shown("read.py", "python read.py 8086 'SELECT")
    finally:
        server.stop()


def test_sink_file(example):
    made = example("sinks/file")
    with made.agent():
        wait_for(lambda: made.is_sent("file"), "the reading", 30)
    assert made.run("read.py", "out").splitlines() == made.shown("read.py", "python read.py")
