"""The article about EdgeAgent, sentence by sentence: each test quotes the one it checks."""

import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from host.asking import ask, raw
from host.conftest import SIMULATED
from host.fakes import UTC_MS, FakeClock
from host.processes import free_port
from host.servers import serving
from host.waiting import run_with_deadline, wait_for
from pyv_edge_agent.adapters.simulator import SimulatorAdapter
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import ConfigError
from pyv_edge_agent.main import EdgeAgent, _HealthHandler
from pyv_edge_agent.metrics import SystemMetrics
from pyv_edge_agent.outbox import CloudSyncQueue
from pyv_edge_agent.report import health_report
from pyv_edge_agent.settings import SECTIONS
from pyv_edge_agent.sinks.http import HTTPCloudUploader
from pyv_edge_agent.store import SQLiteStore
from pyv_edge_agent.types import SensorReading
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.ring import RingBuffer


class Value:
    """An adapter that reads what it is told."""

    def __init__(self, value):
        self.value_now = value
        self.reads = 0

    def read(self):
        self.reads += 1
        if isinstance(self.value_now, Exception):
            raise self.value_now
        return self.value_now


def rows(agent, query="SELECT sensor, value, quality FROM readings ORDER BY id"):
    connection = sqlite3.connect(agent._config.store_path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
def running(agents, write_config):
    """Return a function that starts an agent and waits for its first cycle.

    No second cycle comes by itself: its poll interval is a day.
    """

    def start(devices=(SIMULATED,), adapters=None, **sections):
        agent = agents(write_config(devices, **sections))
        agent.start()
        wait_for(lambda: agent._readings_processed == len(devices), "first cycle")
        agent._adapters.update(adapters or {})
        return agent

    return start


def get(agent, path, method="GET"):
    host, port = agent._health_server.server_address[:2]
    request = urllib.request.Request(f"http://{host}:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.status, dict(reply.headers), reply.read()


# -- the constructor ---------------------------------------------------------------


def test_constructor_spawns_no_thread_and_opens_no_file_or_socket(tmp_path, monkeypatch):
    """When you create an agent, it starts in a dormant state. No threads are spawned.

    No files are opened. No network connections are made.
    """
    monkeypatch.chdir(tmp_path)
    threads = set(threading.enumerate())
    opened = []

    def watch(event, arguments):
        if is_watching and event in ("open", "socket.__new__", "sqlite3.connect", "os.mkdir"):
            opened.append((event, arguments))

    is_watching = False
    sys.addaudithook(watch)  # can't be removed; it is silent outside these lines
    is_watching = True
    agent = EdgeAgent(config_path="config.toml")
    is_watching = False
    assert opened == []
    assert set(threading.enumerate()) == threads
    assert list(tmp_path.iterdir()) == []
    assert agent._health_server is None
    assert agent._store is None


def test_audit_of_the_test_before_sees_what_it_looks_for(tmp_path):
    """The watch above would have noticed a file and a socket."""
    seen = set()
    is_watching = False

    def watch(event, arguments):
        if is_watching:
            seen.add(event)

    sys.addaudithook(watch)
    is_watching = True
    sqlite3.connect(tmp_path / "x.db").close()
    (tmp_path / "x").write_text("")
    socket.socket().close()
    is_watching = False
    assert {"open", "socket.__new__", "sqlite3.connect"} <= seen


def test_dormant_agent_is_not_running_and_health_is_as_printed():
    """print(agent.is_running)  # False, and print(agent.health())."""
    agent = EdgeAgent(config_path="/home/pi/pyvorin-edge/config.toml")
    assert agent.is_running is False
    assert agent.health() == {
        "running": False,
        "config_path": "/home/pi/pyvorin-edge/config.toml",
        "buffer_count": 0,
        "cloud_pending": 0,
        "privacy_enabled": True,
    }
    assert list(agent.health()) == [
        "running",
        "config_path",
        "buffer_count",
        "cloud_pending",
        "privacy_enabled",
    ]


def test_key_attributes_at_construction():
    """Key Attributes at Construction (the table)."""
    agent = EdgeAgent("config.toml")
    assert agent._config_path == "config.toml"
    assert EdgeAgent()._config_path is None
    assert type(agent._config) is Config
    assert agent._store is None
    assert type(agent._privacy) is PrivacyPolicy
    assert type(agent._cloud) is CloudSyncQueue
    assert agent._uploader is None
    assert agent._buffers == {}
    assert agent._adapters == {}
    assert agent._readings_processed == 0
    assert agent._events_triggered == 0
    assert agent._running is False
    assert type(agent._shutdown_event) is threading.Event
    assert not agent._shutdown_event.is_set()
    assert agent._thread is None
    assert agent._health_server is None
    assert agent._health_thread is None
    assert type(agent._system_metrics) is SystemMetrics


def test_attributes_once_started_have_the_types_of_the_table(agents, write_config):
    """The same table, for what is Optional there."""
    cloud = {"enabled": True, "endpoint": "http://127.0.0.1:9/v1"}
    agent = agents(write_config(cloud=cloud))
    agent.start()
    assert type(agent._store) is SQLiteStore
    assert type(agent._uploader) is HTTPCloudUploader
    assert isinstance(agent._health_server, HTTPServer)
    assert isinstance(agent._thread, threading.Thread)
    assert isinstance(agent._health_thread, threading.Thread)
    assert isinstance(agent._buffers["t1"], RingBuffer)
    assert type(agent._adapters["t1"]) is SimulatorAdapter


# -- starting ----------------------------------------------------------------------


def test_start_of_a_running_agent_logs_a_warning_and_returns(running, log):
    """If the agent is already running, it logs a warning and returns immediately."""
    agent = running()
    before = (agent._thread, agent._store, agent._health_server, agent._config)
    log.records.clear()
    agent.start()
    assert log.warnings() == ["EdgeAgent is already running; start() does nothing"]
    assert (agent._thread, agent._store, agent._health_server, agent._config) == before


class Watched(EdgeAgent):
    """Writes down in which order its attributes are set."""

    def __init__(self, *args, **options):
        self.order = []
        super().__init__(*args, **options)
        self.order.clear()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if value is not None and value != {} and name != "order":
            self.order.append(name)
        if name not in ("order", "_cloud") and "_cloud" in self.__dict__:
            is_bound = self._cloud._store is not None
            if is_bound and "queue bound" not in self.order:
                self.order.insert(len(self.order) - 1, "queue bound")


def test_start_goes_in_a_strict_sequence(agents, write_config):
    """Calling agent.start() triggers a strict sequence.

    Load Configuration, [...] Initialise Components, Start the Health Server, Start
    the Main Thread; the components in the order of the list.
    """
    cloud = {"enabled": True, "endpoint": "http://127.0.0.1:9/v1"}
    agent = agents(write_config(cloud=cloud), kind=Watched)
    agent.start()
    wanted = [
        "_config",
        "_store",
        "_privacy",
        "queue bound",
        "_buffers",
        "_uploader",
        "_health_server",
        "_health_thread",
        "_running",
        "_thread",
    ]
    assert [name for name in agent.order if name in wanted][: len(wanted)] == wanted


def test_config_is_loaded_before_anything_else(agents, tmp_path):
    """The first step is to load the configuration: a fault in it leaves no trace."""
    path = tmp_path / "config.toml"
    path.write_text("[logging]\nlevel = 'LOUD'\n")
    handlers = list(logging.getLogger().handlers)
    agent = agents(str(path))
    with pytest.raises(ConfigError):
        agent.start()
    assert logging.getLogger().handlers == handlers
    assert [place.name for place in tmp_path.iterdir()] == ["config.toml"]
    assert not agent.is_running


def test_logging_is_set_up_before_components(agents, write_config, tmp_path, capsys):
    """Configuration, then logging, then components: a bad store finds logging in place."""
    (tmp_path / "text.db").write_text("no database\n" * 100)
    agent = agents(write_config(storage={"path": "text.db"}, logging={"level": "ERROR"}))
    with pytest.raises(RuntimeError, match=r"text\.db"):
        agent.start()
    assert logging.getLogger().level == logging.ERROR
    assert len(logging.getLogger().handlers) == 1


def test_components_come_before_the_health_server(agents, write_config, tmp_path):
    """Components Init, then Health Server: with its port taken, the store is there and closed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent = agents(write_config(health={"port": taken.getsockname()[1]}))
        threads = set(threading.enumerate())
        with pytest.raises(RuntimeError, match=r"health\.port"):
            agent.start()
    assert (tmp_path / "edge.db").exists()
    assert agent._store is None
    assert agent._thread is None
    assert not agent.is_running
    assert set(threading.enumerate()) == threads


def test_agent_that_could_not_start_can_be_started_later(agents, write_config):
    """A start that fails leaves the agent dormant."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        agent = agents(write_config(health={"port": port}))
        with pytest.raises(RuntimeError):
            agent.start()
    write_config()
    agent.start()
    assert agent.is_running
    wait_for(lambda: agent._readings_processed == 1, "first cycle")


def test_stopped_agent_can_be_started_again(running):
    """[Stopped] is like [Constructed]: what is stored stays, and counting goes on."""
    agent = running()
    agent.stop()
    assert len(rows(agent)) == 1
    agent.start()
    wait_for(lambda: len(rows(agent)) == 2, "first cycle of the second run")
    assert agent.is_running


def test_missing_file_raises_file_not_found(agents, tmp_path):
    """If the file is missing, a FileNotFoundError is raised immediately."""
    path = str(tmp_path / "absent.toml")
    with pytest.raises(FileNotFoundError, match=r"absent\.toml"):
        Config.from_file(path)
    agent = agents(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.toml"):
        agent.start()
    assert not agent.is_running


def test_config_is_toml_or_json(tmp_path):
    """The Config.from_file() method reads TOML or JSON."""
    (tmp_path / "a.toml").write_text("[sensors]\npoll_interval_seconds = 2.5\n")
    (tmp_path / "a.json").write_text('{"sensors": {"poll_interval_seconds": 3.5}}')
    for name, wanted in (("a.toml", 2.5), ("a.json", 3.5)):
        config = Config.from_file(tmp_path / name)
        assert config.get("sensors", "poll_interval_seconds") == wanted


def test_config_substitutes_environment_variables(tmp_path, monkeypatch):
    """... substitutes environment variables of the form ${VAR} or ${VAR:-default} ..."""
    monkeypatch.setenv("PYV_TEST_HOST", "10.0.0.7")
    monkeypatch.delenv("PYV_TEST_ABSENT", raising=False)
    path = tmp_path / "a.toml"
    path.write_text(
        "[cloud]\n"
        'endpoint = "http://${PYV_TEST_HOST}:${PYV_TEST_ABSENT:-9000}/in"\n'
        'api_key = "${PYV_TEST_ABSENT:-}"\n'
    )
    config = Config.from_file(path)
    assert config.get("cloud", "endpoint") == "http://10.0.0.7:9000/in"
    assert config.get("cloud", "api_key") == ""


def test_config_merges_over_defaults(tmp_path):
    """... and merges user settings over built-in defaults."""
    path = tmp_path / "a.toml"
    path.write_text("[windows]\ndefault_size = 7\n")
    config = Config.from_file(path)
    assert config.get("windows", "default_size") == 7
    assert config.get("windows", "dtype") == "d"
    assert config.get("sensors", "poll_interval_seconds") == 5.0


def test_config_get_takes_names_and_a_default():
    """log_cfg = self._config.get("logging", default={})."""
    config = Config()
    assert config.get("logging", default={}) == {"level": "INFO", "format": "json"}
    assert config.get("no such", default={}) == {}
    assert config.get("logging", "no such", default=5.0) == 5.0
    assert config.get("logging", "level", "deeper", default=1) == 1
    assert config.get("no such") is None


# -- logging -----------------------------------------------------------------------


def test_json_is_the_default_format(agents, write_config, capsys):
    """JSON format includes timestamp, level, logger name, message [...]."""
    agent = agents(write_config())
    agent.start()
    agent.stop()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    last = lines[-1]
    assert last["message"] == "EdgeAgent stopped"
    assert last["level"] == "INFO"
    assert last["logger"] == "pyv_edge_agent.agent"
    assert last["timestamp"].endswith("Z")
    assert "exception" not in last


def test_json_lines_carry_tracebacks(agents, write_config, capsys):
    """... and exception tracebacks if present."""
    agents(write_config()).start()
    try:
        raise KeyError("one\ntwo")
    except KeyError:
        logging.getLogger("somewhere").exception("it went wrong")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = [line for line in found if line["logger"] == "somewhere"]
    assert line["level"] == "ERROR"
    assert line["exception"].startswith("Traceback")
    assert "KeyError" in line["exception"]


def test_plain_text_is_the_other_format(agents, write_config, capsys):
    """... and plain text (for human readability during development)."""
    agent = agents(write_config(logging={"format": "text"}))
    agent.start()
    agent.stop()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("INFO    pyv_edge_agent.agent: EdgeAgent stopped")
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        json.loads(last)


def test_root_logger_has_one_handler_to_stdout(agents, write_config, capsys):
    """The root logger is reconfigured with a single StreamHandler writing to stdout.

    Any existing handlers are cleared.
    """
    root = logging.getLogger()
    third_party = logging.NullHandler()
    root.addHandler(third_party)
    agents(write_config()).start()
    (handler,) = root.handlers
    assert type(handler) is logging.StreamHandler
    assert handler.stream is sys.stdout
    logging.getLogger("library").warning("only once")
    assert capsys.readouterr().out.count("only once") == 1


def test_log_level_comes_from_the_config(agents, write_config, capsys):
    """level = log_cfg.get("level", "INFO")."""
    agent = agents(write_config(logging={"level": "WARNING"}))
    agent.start()
    logging.getLogger("library").info("quiet")
    logging.getLogger("library").warning("loud")
    out = capsys.readouterr().out
    assert "loud" in out
    assert "quiet" not in out
    assert "EdgeAgent started" not in out


# -- components --------------------------------------------------------------------


def test_store_is_in_wal_mode(running):
    """SQLiteStore - a [...] WAL-mode SQLite database for readings, events [...]."""
    agent = running()
    assert rows(agent, "PRAGMA journal_mode") == [("wal",)]
    tables = {name for (name,) in rows(agent, "SELECT name FROM sqlite_master")}
    assert {"readings", "events"} <= tables


def test_privacy_policy_comes_from_its_section(running):
    """PrivacyPolicy - loaded from the [privacy] config section."""
    rules = [{"pattern": "t1", "action": "allow"}, {"pattern": "*", "action": "drop"}]
    agent = running(privacy={"default": "drop", "rules": rules})
    assert [rule.name for rule in agent._privacy.rules] == ["allow t1", "drop *"]
    assert agent._privacy.default == "deny"  # which is what "drop" means
    assert agent.health()["privacy_enabled"] is True


def test_privacy_policy_can_be_off(running):
    """privacy_enabled is what the section says."""
    rules = [{"pattern": "*", "action": "drop"}]
    agent = running(privacy={"enabled": False, "rules": rules})
    assert agent.health()["privacy_enabled"] is False
    assert len(rows(agent)) == 1


def test_one_ring_buffer_per_device_with_capacity_and_dtype(running):
    """RingBuffers - one per device, configured with capacity and dtype from [windows]."""
    devices = [dict(SIMULATED, name=name) for name in ("t1", "t2", "t3")]
    agent = running(devices, windows={"default_size": 17, "dtype": "f"})
    assert list(agent._buffers) == ["t1", "t2", "t3"]
    assert agent.health()["buffer_count"] == 3
    for buffer in agent._buffers.values():
        assert (buffer.capacity, buffer.dtype) == (17, "f")
    assert len({id(buffer) for buffer in agent._buffers.values()}) == 3


@pytest.mark.parametrize("dtype", SECTIONS["windows"]["dtype"].choices)
def test_every_allowed_dtype_takes_a_reading(agents, write_config, log, dtype):
    """... dtype from [windows]: what the config allows must be storable."""
    agent = agents(write_config(windows={"dtype": dtype}))
    agent.start()
    wait_for(
        lambda: agent._readings_processed == 1 or log.having("Error in run_loop"),
        "first cycle",
    )
    assert log.having("Error in run_loop") == []
    assert rows(agent) == [("t1", 20.0, "good")]


def test_adapter_is_made_by_ingest_type(running):
    """Ingest Adapters - created based on each device's ingest_type (simulator, ...)."""
    agent = running()
    assert type(agent._adapters["t1"]) is SimulatorAdapter


@pytest.mark.parametrize(
    ("cloud", "is_made"),
    [
        ({"enabled": False, "endpoint": "http://127.0.0.1:9/v1"}, False),
        ({"enabled": False, "endpoint": ""}, False),
        ({"enabled": True, "endpoint": "http://127.0.0.1:9/v1"}, True),
    ],
)
def test_uploader_only_if_enabled_and_with_endpoint(agents, write_config, cloud, is_made):
    """HTTPCloudUploader - created only if cloud.enabled is true and an endpoint is provided."""
    agent = agents(write_config(cloud=cloud))
    agent.start()
    assert (agent._uploader is not None) is is_made
    named = [thread for thread in threading.enumerate() if thread.name == "edge-sink-http"]
    assert bool(named) is is_made


# -- the health server -------------------------------------------------------------


def test_health_server_runs_in_a_daemon_thread(running):
    """It runs in a daemon thread so it does not block agent shutdown."""
    agent = running()
    assert agent._health_thread.daemon
    assert agent._health_thread.is_alive()


def test_get_health_is_comprehensive(running):
    """GET /health - agent state, system metrics, cloud queue depth, privacy, ingest adapters."""
    agent = running(privacy={"rules": [{"pattern": "secret.*", "action": "drop"}]})
    status, headers, body = get(agent, "/health")
    report = json.loads(body)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert report["status"] == "healthy"
    assert report["agent"]["running"] is True
    assert report["agent"]["buffer_count"] == 1
    assert report["agent"]["readings_processed"] == 1
    assert report["agent"]["events_triggered"] == 0
    assert {"cpu_percent", "ram_percent", "disk_percent"} <= set(report["metrics"])
    assert report["cloud"]["queue_depth"] == 1
    assert report["cloud"]["endpoint"] == ""
    assert report["privacy"]["enabled"] is True
    assert report["privacy"]["rules_active"] == 1
    assert report["privacy"]["readings_dropped"] == 0
    assert report["ingest"]["adapters_connected"] == 1
    assert report["ingest"]["devices_configured"] == 1


def test_health_is_unhealthy_without_a_running_agent(running):
    """status = "healthy" if (self.agent_ref and self.agent_ref.is_running) else "unhealthy"."""
    agent = running()
    agent._running = False
    try:
        reply = ask(agent, "/health")
        assert (reply.status, reply.told["status"]) == (503, "unhealthy")
    finally:
        agent._running = True


def test_get_metrics_is_raw_system_metrics_only(running):
    """GET /metrics - raw system metrics only (CPU, RAM, disk, thermal, uptime)."""
    _, _, body = get(running(), "/metrics")
    assert set(json.loads(body)) == {
        "cpu_percent",
        "ram_percent",
        "disk_percent",
        "thermal_celsius",
        "uptime_seconds",
        "timestamp",
    }


@pytest.mark.parametrize("path", ["/health", "/metrics", "/any/thing?x=1", "*"])
def test_options_is_answered_for_any_path(running, path):
    """OPTIONS * - CORS preflight responses."""
    agent = running(health={"cors_origins": "https://ops.example"})
    asked = f"OPTIONS {path} HTTP/1.0\r\nOrigin: https://ops.example\r\n\r\n"
    reply = raw(agent, asked.encode()).decode()
    assert reply.split()[1] == "204"
    assert "Access-Control-Allow-Origin: https://ops.example" in reply
    assert "Access-Control-Allow-Methods: GET, HEAD, OPTIONS" in reply


def test_handler_class_and_its_reference_to_the_agent(running):
    """The handler is _HealthHandler, a subclass of BaseHTTPRequestHandler.

    It holds a class-level reference to the agent instance.
    """
    agent = running()
    assert issubclass(_HealthHandler, BaseHTTPRequestHandler)
    assert _HealthHandler.agent_ref is None
    handler = agent._health_server.RequestHandlerClass
    assert issubclass(handler, _HealthHandler)
    assert handler.agent_ref is agent


# -- the main loop -----------------------------------------------------------------


def test_main_loop_is_a_daemon_thread_named_edge_agent(running):
    """threading.Thread(target=self.run_loop, daemon=True, name="edge-agent")."""
    agent = running()
    assert agent._thread.name == "edge-agent"
    assert agent._thread.daemon
    assert agent._thread.is_alive()


class Stumbling(EdgeAgent):
    """Its first two cycles raise."""

    cycles = 0

    def run_once(self):
        self.cycles += 1
        if self.cycles <= 2:
            raise OSError("stumbled")
        super().run_once()


def test_run_loop_survives_an_exception_in_an_iteration(agents, write_config, log):
    """except Exception: logger.exception("Error in run_loop iteration")."""
    path = write_config(sensors={"poll_interval_seconds": 0.01})
    agent = agents(path, kind=Stumbling)
    agent.start()
    wait_for(lambda: agent._readings_processed >= 2, "cycles after those that failed")
    failed = [record for record in log.records if record.exc_info]
    assert [record.getMessage() for record in failed] == ["Error in run_loop iteration"] * 2


def test_loop_polls_at_each_interval(agents, write_config):
    """It reads the configured poll interval [...], then repeats until shutdown."""
    clock = FakeClock()
    agent = agents(write_config(sensors={"poll_interval_seconds": 10}), clock=clock)
    agent.start()
    for count in (1, 2, 3):
        wait_for(lambda: agent._readings_processed >= count, f"cycle {count}")  # noqa: B023
        assert agent._readings_processed == count
        clock.advance(10_000)
        agent._wake.set()
    wait_for(lambda: agent._readings_processed == 4, "the last cycle")


def test_polls_that_are_faster_than_commits_share_one(agents, write_config):
    clock = FakeClock()
    agent = agents(write_config(sensors={"poll_interval_seconds": 0.1}), clock=clock)
    agent.start()
    (name,) = agent._buffers
    for count in range(1, 11):
        wait_for(lambda: len(agent._buffers[name]) == count, "a poll")  # noqa: B023
        assert agent._store.stored_total == 0
        clock.advance(100)
        agent._wake.set()
    wait_for(lambda: agent._store.stored_total == 11, "the commit")


def test_default_poll_interval_is_five_seconds():
    """It reads the configured poll interval (default 5 seconds)."""
    assert Config().get("sensors", "poll_interval_seconds") == 5.0


def test_stop_wakes_the_loop_immediately(running):
    """stop() can wake it immediately instead of waiting for the sleep to finish."""
    agent = running(sensors={"poll_interval_seconds": 3600})
    thread = agent._thread
    run_with_deadline(agent.stop, "stop() with an hour to the next poll")
    assert not thread.is_alive()


# -- a single iteration ------------------------------------------------------------


class AllMethods:
    """Has every method of the contract; notes which is called."""

    def __init__(self, *names):
        for place, name in enumerate(names):
            setattr(self, name, lambda number=place + 1.0: number)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("read", "generate_batch", "generate_reading"), 1.0),
        (("generate_batch", "generate_reading"), 1.0),
        (("generate_reading", "generate_batch"), 2.0),
        (("generate_reading", "read"), 2.0),
        (("generate_reading",), 1.0),
    ],
)
def test_adapter_methods_are_tried_in_order(running, names, wanted):
    """It tries multiple adapter methods in order: read(), generate_batch(), generate_reading()."""
    agent = running(adapters={"t1": AllMethods(*names)})
    agent.run_once()
    assert rows(agent)[-1] == ("t1", wanted, "good")


def test_every_buffer_is_asked(running):
    """For each buffer (and therefore each device), the agent asks the corresponding adapter."""
    devices = [dict(SIMULATED, name=name) for name in ("t1", "t2")]
    agent = running(devices, {"t1": Value(1.5), "t2": Value(2.5)})
    agent.run_once()
    assert rows(agent)[-2:] == [("t1", 1.5, "good"), ("t2", 2.5, "good")]


class SeeingPolicy(PrivacyPolicy):
    """Keeps what it is asked about."""

    def evaluate(self, reading):
        self.seen = reading
        return super().evaluate(reading)


def test_value_is_wrapped_in_a_sensor_reading_with_the_current_time(agents, write_config):
    """The raw value is wrapped in a SensorReading dataclass with the current timestamp.

    The reading is passed through PrivacyPolicy.evaluate().
    """
    clock = FakeClock()
    agent = agents(write_config(), clock=clock)
    agent.start()
    wait_for(lambda: agent._readings_processed == 1, "first cycle")
    agent._adapters["t1"] = Value(12.25)
    policy = agent._ingest.pipeline.privacy = SeeingPolicy()
    clock.advance(1500)
    agent.run_once()
    assert policy.seen == SensorReading("t1", (UTC_MS + 1500) / 1000, 12.25, "Cel")
    assert rows(agent, "SELECT utc_ms FROM reading") == [(UTC_MS,), (UTC_MS + 1500,)]


def test_denied_reading_is_never_stored_but_counted(running, log):
    """If the result is None, the reading is dropped and never stored."""
    devices = [dict(SIMULATED, name="t1"), dict(SIMULATED, name="room.bed")]
    rules = [{"pattern": "room.*", "action": "drop"}]
    agent = running(devices, {"room.bed": Value(98765.4321)}, privacy={"rules": rules})
    agent.run_once()
    assert [row[0] for row in rows(agent)] == ["t1", "t1"]
    assert agent._readings_processed == 4
    assert health_report(agent)["privacy"]["readings_dropped"] == 2
    assert len(agent._buffers["room.bed"]) == 0
    assert agent._events_triggered == 0
    assert agent._cloud.peek() == []
    agent.stop()
    for place in agent._config.store_path.parent.glob("edge.db*"):
        assert b"98765.4321" not in place.read_bytes()
    assert "98765" not in log.whole()


def test_allowed_reading_is_appended_to_the_ring_buffer(running):
    """If allowed, the reading is appended to the device's ring buffer."""
    agent = running(adapters={"t1": Value(7.5)})
    agent.run_once()
    assert [value for _, value in agent._buffers["t1"]] == [20.0, 7.5]


def test_reading_is_inserted_into_sqlite(running):
    """The reading is inserted into the SQLite readings table."""
    agent = running(adapters={"t1": Value(7.5)})
    agent.run_once()
    query = "SELECT sensor, value, unit, quality, device, seq FROM readings WHERE seq = 1"
    assert rows(agent, query) == [("t1", 7.5, "Cel", "good", "t1", 1)]


def test_pending_count_rises_with_each_reading(running):
    """The reading is serialised and added to the cloud sync queue."""
    agent = running(adapters={"t1": Value(7.5)})
    assert agent.health()["cloud_pending"] == 1
    agent.run_once()
    assert agent.health()["cloud_pending"] == 2
    assert agent._cloud.pending_count() == 2


def test_default_rule_counts_only_above_thirty(running):
    """If the value exceeds 30.0, the _events_triggered counter increments."""
    value = Value(30.0)
    agent = running(adapters={"t1": value})
    counts = []
    for value.value_now in (30.0, 30.0000001, 29.0, 31, 32):
        agent.run_once()
        counts.append(agent._events_triggered)
    assert counts == [0, 1, 1, 2, 3]


def test_configured_rules_replace_the_threshold(running):
    """You would configure explicit rules in [rules] instead of this hard-coded threshold."""
    rules = [{"name": "hot", "sensor": "other.*", "above": 10.0}]
    agent = running(adapters={"t1": Value(1000.0)}, rules=rules)
    agent.run_once()
    assert agent._events_triggered == 0
    assert rows(agent, "SELECT * FROM events") == []


def test_configured_rule_fires_at_its_own_level(running):
    """The same, for a rule that matches."""
    agent = running(
        adapters={"t1": Value(11.0)}, rules=[{"name": "warm", "sensor": "t*", "above": 20.5}]
    )
    agent.run_once()
    agent._adapters["t1"] = Value(20.75)
    agent.run_once()
    assert agent._events_triggered == 1
    query = "SELECT sensor, rule, value FROM events"
    assert rows(agent, query) == [("t1", "warm", 20.75)]


def test_maybe_flush_gets_the_reading_sent(agents, write_config):
    """CloudSyncQueue.maybe_flush() checks whether the uploader should send a batch."""
    with serving() as cloud:
        agent = agents(write_config(cloud={"enabled": True, "endpoint": cloud.url}))
        agent.start()
        wait_for(lambda: cloud.requests, "the first batch")
        wait_for(lambda: agent.health()["cloud_pending"] == 0, "its acknowledgement")
    assert cloud.bodies[0]["items"][0]["sensor_name"] == "t1"
    assert cloud.bodies[0]["items"][0]["value"] == 20.0


def test_items_remain_while_cloud_is_off(running):
    """If cloud sync is disabled, items remain in the queue [...] until polled manually."""
    agent = running(adapters={"t1": Value(31.0)})
    agent.run_once()
    assert agent._uploader is None
    (item,) = agent._cloud.peek()
    assert item["payload"]["rule_name"] == "value above 30"
    assert agent.health()["cloud_pending"] == 3  # two readings, one event


# -- adapters that fail ------------------------------------------------------------


def test_failed_read_logs_a_warning_and_gives_zero(running, log):
    """If _get_reading_value() raises [...] the agent logs a warning and returns 0.0."""
    agent = running(adapters={"t1": Value(OSError("no answer"))})
    assert agent._get_reading_value("t1") == 0.0
    assert log.warnings() == ["Adapter read failed for t1: no answer"]


def test_missing_adapter_gives_zero(running):
    """if adapter is None: return 0.0."""
    agent = running()
    assert agent._get_reading_value("nobody") == 0.0


def test_failed_read_is_stored_as_bad_and_fires_nothing(running):
    """It simply records a zero for that cycle: ours is marked, so that nobody measures it."""
    rules = [{"name": "always", "above": -1.0}]
    agent = running(adapters={"t1": Value(OSError("no answer"))}, rules=rules)
    events = agent._events_triggered
    agent.run_once()
    assert rows(agent)[-1] == ("t1", None, "bad")
    assert rows(agent, "SELECT value, quality FROM reading ORDER BY id")[-1] == (0.0, 2)
    assert agent._events_triggered == events
    assert agent._readings_processed == 2


def test_on_error_skip_stores_nothing(running, log):
    """The other choice: nothing is recorded for that cycle."""
    adapters = {"t1": Value(OSError("no answer"))}
    agent = running(adapters=adapters, sensors={"on_error": "skip"})
    agent.run_once()
    assert len(rows(agent)) == 1
    assert log.warnings() == ["Adapter read failed for t1: no answer"]


def test_next_interval_tries_again(running, log):
    """... and tries again next interval."""
    value = Value(OSError("no answer"))
    agent = running(adapters={"t1": value})
    agent.run_once()
    agent.run_once()
    value.value_now = 21.5
    agent.run_once()
    assert value.reads == 3
    assert [row[2] for row in rows(agent)] == ["good", "bad", "bad", "good"]
    assert log.warnings() == [
        "Adapter read failed for t1: no answer",
        "Adapter of t1 reads again after 2 failures",
    ]


class Hopeless:
    """Raises what no adapter should."""

    def read(self):
        raise ZeroDivisionError


def test_failing_adapter_does_not_crash_the_agent(agents, write_config):
    """This means a flaky MQTT connection or a missing sensor does not crash the entire agent."""
    devices = [dict(SIMULATED, name="t1"), dict(SIMULATED, name="t2")]
    agent = agents(write_config(devices, sensors={"poll_interval_seconds": 0.01}))
    agent.start()
    agent._adapters["t1"] = Hopeless()
    before = agent._readings_processed
    wait_for(lambda: agent._readings_processed > before + 6, "cycles with a broken adapter")
    assert agent._thread.is_alive()
    good = [row for row in rows(agent) if row[0] == "t2" and row[2] == "good"]
    assert len(good) >= 3


# -- stopping ----------------------------------------------------------------------


class Stopping(EdgeAgent):
    """Notes what is still alive when the store is closed."""

    def _close_components(self):
        if self._running is False and self._store is not None:
            self.at_close = {
                "flag": self._running,
                "event": self._shutdown_event.is_set(),
                "health": self._health_thread.is_alive(),
                "loop": self._thread.is_alive(),
                "store": self._store._is_open,
            }
            self.store_then = self._store
        super()._close_components()


def test_stop_goes_in_order(agents, write_config, log):
    """_running = False and _shutdown_event, health server, main thread, store, the log line."""
    agent = agents(write_config(), kind=Stopping)
    agent.start()
    agent.stop()
    assert agent.at_close == {
        "flag": False,
        "event": True,
        "health": False,
        "loop": False,
        "store": True,
    }
    assert not agent.store_then._is_open
    assert log.lines()[-1] == "EdgeAgent stopped"


def test_stop_closes_all_connections_of_the_store(running):
    """Close the SQLite store, which closes all pooled connections."""
    agent = running()
    store = agent._store
    agent._cloud.peek()  # opens this thread's connection
    agent.stop()
    assert agent._store is None
    assert store._readers
    for connection in [store._writer, *(reader for _, reader in store._readers)]:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_stop_frees_the_health_port(running):
    """Shut down the health HTTP server."""
    agent = running()
    host, port = agent._health_server.server_address[:2]
    agent.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, port), timeout=5)


def test_stop_twice_does_nothing_the_second_time(running, log):
    """stop() of a stopped agent, or of one that never ran, is no error."""
    agent = running()
    agent.stop()
    agent.stop()
    assert log.lines().count("EdgeAgent stopped") == 1
    EdgeAgent().stop()
    assert log.lines().count("EdgeAgent stopped") == 1


def test_stop_leaves_no_thread(agents, write_config):
    """[Stopped]: no thread of the agent is left."""
    before = set(threading.enumerate())
    agent = agents(write_config(cloud={"enabled": True, "endpoint": "http://127.0.0.1:9/"}))
    agent.start()
    assert len(set(threading.enumerate()) - before) >= 3
    agent.stop()
    wait_for(lambda: set(threading.enumerate()) <= before, "the end of all threads")


def test_stop_does_not_wait_for_a_server_that_does_not_answer(agents, write_config):
    """This prevents indefinite hangs: a POST under way must not hold stop() up either."""
    with serving(hangs=True) as cloud:
        settings = {"enabled": True, "endpoint": cloud.url, "timeout_seconds": 600}
        agent = agents(write_config(cloud=settings))
        agent.start()
        wait_for(lambda: cloud.requests, "a POST that hangs")
        run_with_deadline(agent.stop, "stop() while a POST hangs")


# -- context manager ---------------------------------------------------------------


def test_context_manager_starts_and_stops(write_config):
    """With Python's with statement for automatic lifecycle management."""
    with EdgeAgent(config_path=write_config()) as agent:
        assert agent.is_running
        assert type(agent) is EdgeAgent
    assert not agent.is_running
    assert agent._store is None


def test_context_manager_stops_on_an_exception(write_config):
    """It guarantees cleanup even if an exception is raised."""
    with pytest.raises(LookupError), EdgeAgent(config_path=write_config()) as agent:
        raise LookupError
    assert not agent.is_running
    assert agent._store is None
    assert agent._thread is None


# -- signals -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["module", "script"])
def test_signal_ends_the_process_with_code_zero(write_config, number, command):
    """The handler logs the signal, calls agent.stop(), and exits the process with code 0."""
    script = Path(sys.executable).parent / "pyv-edge"
    program = [str(script)] if command == "script" else [sys.executable, "-m", "pyv_edge_agent"]
    process = subprocess.Popen(
        [*program, "--config", write_config()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        seen = []
        for line in process.stdout:
            seen.append(json.loads(line)["message"])
            if seen[-1].startswith("EdgeAgent started"):
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    messages = seen + [json.loads(line)["message"] for line in out.splitlines()]
    assert process.returncode == 0
    assert err == ""
    assert messages[-2:] == [f"received {number.name}, stopping", "EdgeAgent stopped"]


# -- thread safety -----------------------------------------------------------------

THREADS = 6


def hammer(work):
    """Run work(number) in THREADS threads at once; raise what any of them raised."""
    errors = []
    barrier = threading.Barrier(THREADS)

    def run(number):
        try:
            barrier.wait(30)
            work(number)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that a missing lock shows
    try:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def test_ring_buffer_is_thread_safe(running):
    """RingBuffer, Thread-safe: threading.Lock around append/peek/pop."""
    buffer = running(windows={"default_size": 50})._buffers["t1"]
    popped = [0] * THREADS
    appended = 2000

    def work(number):
        for index in range(appended):
            buffer.append(float(index))
            if index % 3 == 0:
                try:
                    buffer.pop()
                    popped[number] += 1
                except IndexError:
                    continue

    hammer(work)
    # One value was in it from the first cycle.
    assert 1 + THREADS * appended == len(buffer) + buffer.dropped_total + sum(popped)


def test_cloud_sync_queue_is_thread_safe(running):
    """CloudSyncQueue, Thread-safe: threading.RLock around DB operations."""
    queue = running()._cloud
    taken = [[] for _ in range(THREADS)]

    def work(number):
        for index in range(20):
            queue.enqueue({"n": number, "i": index})
            for item in queue.dequeue(2):
                payload = item["payload"]
                if payload["i"] % 2:
                    taken[number].append((payload["n"], payload["i"]))
                    assert queue.ack(item["id"]) == 1

    hammer(work)
    done = [one for some in taken for one in some]
    assert len(done) == len(set(done))
    left = queue._store.items.due("", 10_000)
    assert len(left) + len(done) == THREADS * 20
    assert queue._store.items.count == len(left)
    assert queue.pending_count() == 1 + len(left)


def test_system_metrics_are_thread_safe():
    """SystemMetrics, Thread-safe: threading.Lock around CPU delta state."""
    metrics = SystemMetrics()
    found = []

    def work(number):
        for _ in range(50):
            found.append(metrics.to_dict()["cpu_percent"])

    hammer(work)
    assert len(found) == THREADS * 50
    assert all(0.0 <= percent <= 100.0 for percent in found)


def test_sqlite_store_is_thread_safe(tmp_path):
    """SQLiteStore, Thread-safe: connection pool and per-thread connections."""
    from pyv_edge_agent.store import BootInfo, ChannelInfo, WriteBatch, read_ledger

    store = SQLiteStore(tmp_path / "edge.db")
    store.sinks.register("http")
    commits, per_commit = 15, 4

    def work(number):
        channel = ChannelInfo("c", f"s{number}", "V", 0)
        info = BootInfo(f"d{number}", "a", 1, "b", "f", "r", (channel,))
        opened = store.open_boot(info, UTC_MS)
        for turn in range(commits):
            batch = WriteBatch()
            first = turn * per_commit
            progress = batch.stream(opened.boot_id, 0, first)
            for seq in range(first, first + per_commit):
                row = (opened.channel_ids[0], opened.boot_id, 0, seq, UTC_MS, 0, 0, 1.0)
                batch.readings.append(row)
            batch.items.append(("{}", 3, 0.0, 0))
            progress.move(stored=per_commit)
            store.commit(batch)
            store.items.add({}, 3, 0.0, 0)
            assert store.items.due("http", 5)

    hammer(work)
    total = THREADS * commits * per_commit
    assert store.sinks.pending_most() == total
    assert store.items.count == THREADS * commits * 2
    sent = 0
    for lane in ("live", "backlog"):
        while batch := store.sinks.next_batch("http", 10_000, lane):
            sent += len(batch.rows)
            assert store.sinks.acknowledge("http", batch)
    assert sent == total
    store.close()
    ledger = read_ledger(tmp_path / "edge.db")
    assert ledger.is_balanced
    assert ledger.total("stored") == total
    assert ledger.items == THREADS * commits * 2


def test_privacy_policy_rules_are_immutable():
    """PrivacyPolicy, Read-safe: immutable rules list; no locks needed for reads."""
    rules = [("a.*", "drop")]
    policy = PrivacyPolicy(rules)
    rules.append(("*", "drop"))
    assert [rule.name for rule in policy.rules] == ["drop a.*"]
    assert isinstance(policy.rules, tuple)
    for name in ("rules", "default", "is_enabled"):
        with pytest.raises(AttributeError):
            setattr(policy, name, getattr(policy, name))


def test_unknown_path_is_refused(running):
    """It responds to the three of the list, and to nothing else."""
    agent = running()
    reply = ask(agent, "/secret")
    assert reply.status == 404
    assert reply.told["error"].startswith("nothing is here; there are /, /health")


@pytest.mark.parametrize(
    ("action", "shown"), [("allow", "bad frame: 47.11"), ("mask", "ValueError")]
)
def test_text_of_a_failed_read_is_logged_only_if_its_value_may_be_known(
    running, log, action, shown
):
    class Failing:
        def read(self):
            raise ValueError("bad frame: 47.11")

    name = SIMULATED["name"]
    privacy = {"rules": [{"pattern": name, "action": action}]}
    agent = running(adapters={name: Failing()}, privacy=privacy)
    agent.run_once()
    assert log.warnings() == [f"Adapter read failed for {name}: {shown}"]
