"""The examples do what they say: each is run as its docstring shows, and what it shows comes."""

import pytest
from example_rig import Example, as_words
from host.processes import listens, mosquitto
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
        run_again(made)
    finally:
        broker.stop()


def run_again(made):
    """Publish while the agent is away, as the docstring proposes."""
    made.run("publish.py", made.port(1883))
    with made.process("-m", "pyv_edge_agent.cli", "run", "--config", made.folder / "edge.toml"):
        wait_for(lambda: len(made.stored()) == 10, "what was published meanwhile", 30)
