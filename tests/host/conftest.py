"""What the host's tests share: agents that are always stopped, and the log as a list."""

import json
import logging

import pytest
from host.store_rig import StoreRig
from pyv_edge_agent.main import EdgeAgent


@pytest.fixture(autouse=True)
def root_logger_restored():
    """`setup_logging` takes the root logger over; give it back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """A proxy of the computer that runs the tests must not see requests to loopback."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


class Log(logging.Handler):
    """The agent's log records, whatever becomes of the root logger."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def lines(self, level=logging.DEBUG):
        return [record.getMessage() for record in list(self.records) if record.levelno >= level]

    def warnings(self):
        return self.lines(logging.WARNING)

    def having(self, part):
        return [line for line in self.lines() if part in line]

    def whole(self):
        """Return everything the records hold, tracebacks too, as one text."""
        plain = logging.Formatter()
        return "\n".join(plain.format(record) for record in list(self.records))


@pytest.fixture
def log():
    handler = Log()
    logger = logging.getLogger("pyv_edge_agent")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


SIMULATED = {"name": "t1", "ingest_type": "simulator", "unit": "Cel", "noise_std": 0.0}


@pytest.fixture
def write_config(tmp_path):
    """Return a function that writes a config file as JSON and returns its path.

    Any free port for health, and no second poll, unless the test says otherwise.
    """

    def write(devices=(SIMULATED,), name="config.json", **sections):
        sensors = {"poll_interval_seconds": 86400, "devices": list(devices)}
        values = {
            "sensors": sensors,
            "health": {"port": 0},
            "storage": {"path": "edge.db"},
            "time": {"source": "trusted"},  # whatever the computer says that runs the tests
        }
        for section, table in sections.items():
            if isinstance(table, dict):
                values[section] = {**values.get(section, {}), **table}
            else:
                values[section] = table
        path = tmp_path / name
        path.write_text(json.dumps(values))
        return str(path)

    return write


@pytest.fixture
def agents():
    """Return a function that makes an EdgeAgent; all are stopped at the end."""
    made = []

    def make(path=None, kind=EdgeAgent, **options):
        agent = kind(path, **options)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.stop()


@pytest.fixture
def start(agents, write_config):
    """Return a function that starts an agent with these devices and sections."""

    def run(devices=(SIMULATED,), **sections):
        agent = agents(write_config(devices, **sections))
        agent.start()
        return agent

    return run


@pytest.fixture
def rig(tmp_path):
    """A store that is open, and filled as a test says."""
    made = StoreRig(tmp_path / "edge.db")
    yield made
    made.close()
