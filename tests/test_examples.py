"""The examples do what they say: each is run as its docstring shows, and what it shows comes."""

from itertools import pairwise

import pytest
from example_rig import Example, as_words
from host.processes import influxd, listens, mosquitto, nats_server
from host.waiting import wait_for
from pyv_edge_agent.adapters.file_replay import FileReplayAdapter


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


def test_file_tail(example):
    made = example("adapters/file_tail")
    with made.agent():
        wait_for(lambda: "meter.csv is not there" in made.log(), "a look", 30)
        told = made.run("write.py", "meter.csv")
        assert told.splitlines() == made.shown("write.py", "python write.py")
        wait_for(lambda: len(made.stored()) == 3, "three readings", 30)
        assert made.query() == as_words(made.shown("write.py", "pyv-edge-host query"))
        wait_for(lambda: "1 rejected" in made.log(), "the damaged row", 30)


def test_file_replay(example):
    made = example("adapters/file_replay")
    told = made.run("record.py", "recording.jsonl")
    assert told.splitlines() == made.shown("record.py", "python record.py")
    readings = list(FileReplayAdapter.read_jsonl(made.folder / "recording.jsonl"))
    assert [one["value"] for one in readings] == [21.5, 31.0, 22.0]
    with made.agent():
        wait_for(lambda: "is finished" in made.log(), "the end of the replay", 30)
        assert made.query() == as_words(made.shown("record.py", "pyv-edge-host query"))
        events = "pyv-edge-host query --config edge.toml --format csv events"
        assert made.query("--format", "csv", "events") == as_words(made.shown("record.py", events))


def test_simulator(example):
    made = example("adapters/simulator")
    assert made.run("same.py").splitlines() == made.shown("same.py", "python same.py")
    with made.agent():
        wait_for(lambda: len(made.stored()) >= 60, "sixty readings", 30)
    values = [value for _, value, _ in made.stored()]
    assert {(name, unit) for name, _, unit in made.stored()} == {("greenhouse", "Cel")}
    assert 0.0 not in values
    assert any(abs(value - 22.0) > 9.0 for value in values)
    assert any(one == other for one, other in pairwise(values))


def test_system(example):
    made = example("adapters/system")
    with made.agent():
        wait_for(lambda: len(made.stored()) >= 4, "four readings", 30)
    units = {name: unit for name, _, unit in made.stored()}
    shown = (made.folder / "README.md").read_text().split("```")[1].splitlines()[4:]
    expected = {line.split()[1]: line.split()[3] for line in shown}
    assert units.items() <= expected.items()
    assert units.keys() >= {"cpu", "disk", "uptime", "sent"}


def test_third_party(example, tmp_path, monkeypatch):
    made = example("adapters/third_party")
    site, slave = tmp_path / "site", tmp_path / "w1_slave"
    install = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    made.run("-m", *install, "--target", site, ".")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("W1_SLAVE", str(slave))
    slave.write_text("59 01 4b 46 7f ff 0c 10 a1 : crc=a1 YES\n59 01 4b 46 7f t=21562\n")
    with made.agent():
        wait_for(made.stored, "a reading", 30)
        shown = made.shown("one_wire_thermometer.py", "pyv-edge-host query")
        assert made.query() == as_words(shown)
