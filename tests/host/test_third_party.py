"""Adapters of installed packages: found by their entry point, and never anybody else's problem."""

import random
import sqlite3
import sys
import threading
from contextlib import closing

import pytest
from host.fakes import FakeClock
from host.third_party_rig import GATES, MADE, install
from host.waiting import wait_for
from pyv_edge_agent.adapters import create_adapter, third_party
from pyv_edge_agent.config import Config
from pyv_edge_agent.devices import Devices
from pyv_edge_agent.errors import AdapterError, ConfigError, StoreError
from pyv_edge_agent.submission import Sample, Submission


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a function that installs a package into a folder of its own."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    GATES.clear()
    MADE.clear()
    before = set(sys.modules)
    yield lambda name, code, *kinds: install(folder, name, code, *kinds)
    for gate in GATES.values():
        gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("edge-adapter-"):  # of an agent that has gone on without it
            thread.join(30)
            assert not thread.is_alive()
    for name in set(sys.modules) - before:
        if (folder / f"{name}.py").exists():
            del sys.modules[name]


def device(kind, **settings):
    table = {"name": "d", "ingest_type": kind, **settings}
    return Config({"sensors": {"devices": [table]}}).get("sensors", "devices")[0]


AT_ONCE = {"retry_s": 0.01}


class Running:
    """A third-party device in a thread, whose submissions are kept."""

    def __init__(self, kind, limits=None, **settings):
        self.clock = FakeClock()
        self.samples = []
        self.is_full = False
        table = device(kind, **{"interval_seconds": 0.01, **settings})
        self.adapter = create_adapter(table, self.clock)
        if limits is not None:
            entry = third_party.find_entry(kind)
            self.adapter = third_party.ThirdPartyAdapter(table, self.clock, entry, **limits)
        self.feed = self.adapter.feed_type(table, self.put, lambda name: {}, self.clock)
        self.thread = threading.Thread(target=self.adapter.run, args=(self.feed,), daemon=True)
        self.thread.start()

    def put(self, feed, submission):
        assert isinstance(submission, Submission)
        if not self.is_full:
            self.samples += submission.samples
        return not self.is_full

    @property
    def status(self):
        return self.adapter.status()

    def wait_for_problem(self, problem):
        wait_for(lambda: problem in self.status["connection_problem"], problem)

    def stop(self):
        self.adapter.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def run():
    made = []

    def begin(kind, **settings):
        made.append(Running(kind, **settings))
        return made[-1]

    yield begin
    for gate in GATES.values():
        gate.set()
    for one in made:
        one.stop()


POLLED = """
import host.third_party_rig as tests

class probe:
    def __init__(self, device, clock):
        self.device, self.clock, self.is_closed = device, clock, False
        self.values = list(device["options"].get("values", [21.5]))
        tests.MADE.append(self)

    def read(self):
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if value == "raise":
            raise OSError(5, "the secret value 777")
        if value == "exit":
            raise SystemExit(3)
        if value == "interrupt":
            raise KeyboardInterrupt
        if value == "slow":
            self.clock.advance(3500)
            return 1.0
        if value == "block":
            tests.gate("read").wait()
        return value

    def close(self):
        self.is_closed = True
"""


def test_package_is_found_by_its_entry_point_and_polled(site, run):
    site("soil", POLLED, "probe")
    running = run("probe", unit="%", sensor_type="moisture", options={"values": [1, 2.5]})
    wait_for(lambda: len(running.samples) >= 3, "three polls")
    assert [(one.value, one.unit) for one in running.samples[:3]] == [
        (1.0, "%"),
        (2.5, "%"),
        (2.5, "%"),
    ]
    (adapter,) = MADE
    assert adapter.device["sensor_type"] == "moisture"
    assert adapter.clock is running.clock
    assert running.status["package"] == "soil"
    assert running.status["state"] == "running"
    running.stop()
    assert adapter.is_closed


def test_options_are_any_json_and_not_what_others_change(site, run):
    options = {"pins": [1, 2], "deep": {"on": True, "gain": 0.5}, "none": "x"}
    site("soil", POLLED, "probe")
    running = run("probe", options=options)
    wait_for(lambda: MADE, "the adapter")
    assert MADE[0].device["options"] == options
    MADE[0].device["options"]["pins"].append(3)
    assert running.adapter._device["options"] == options


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([None], "soil: a value of type NoneType"),
        (["21.5"], "soil: a value of type str"),
        ([float("nan")], "soil: a value that is nan"),
        ([{}], "soil: a reading without a value"),
        ([[]], "soil: no reading"),
        (["raise"], "soil: OSError at soil.py:13"),
        (["exit"], "soil: SystemExit at soil.py:15"),
        (["interrupt"], "soil: KeyboardInterrupt at soil.py:17"),
    ],
    ids=repr,
)
def test_read_that_fails_is_told_once_and_stored_as_bad(site, run, log, values, problem):
    site(
        "soil", POLLED.replace('list(device["options"].get("values", [21.5]))', "VALUES"), "probe"
    )
    import soil

    soil.VALUES = [*values, *values, 7.0]
    running = run("probe", on_error="zero")
    wait_for(lambda: any(one.value == 7.0 for one in running.samples), "a good poll")
    assert [(one.value, one.quality) for one in running.samples[:3]] == [
        (0.0, 2),
        (0.0, 2),
        (7.0, 0),
    ]
    assert running.status["failures_total"] == 2
    assert log.warnings() == [f"device d: {problem}; trying again"]
    assert "777" not in log.whole()


def test_polls_that_come_too_late_are_counted(site, run):
    site("soil", POLLED, "probe")
    running = run("probe", interval_seconds=1, options={"values": ["slow", "block"]})
    wait_for(lambda: "read" in GATES, "the second poll")
    assert running.status["missed_total"] == 3
    assert [one.value for one in running.samples] == [1.0]


def test_failed_poll_stores_nothing_if_that_is_what_is_wanted(site, run):
    site("soil", POLLED, "probe")
    running = run("probe", on_error="skip", options={"values": ["raise", 7.0]})
    wait_for(lambda: running.samples, "a good poll")
    assert running.samples[0].value == 7.0


def test_no_room_is_counted(site, run):
    site("soil", POLLED, "probe")
    running = run("probe")
    running.is_full = True
    wait_for(lambda: running.status["skipped_total"] >= 2, "two polls")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import no_such_library\nprobe = 1", "No module named 'no_such_library'"),
        ("raise ValueError('at import')", "ValueError at soil.py:1: at import"),
        ("import sys\nsys.exit('no board here')", "SystemExit at soil.py:2: no board here"),
        ("1 +", "SyntaxError"),
        ("other = 1", "has no attribute 'probe'"),
        ("probe = 1", "soil:probe can't be called"),
        ("def probe(): pass", "TypeError"),
        ("def probe(device, clock): device['options']['pin']", "KeyError at soil.py:1: 'pin'"),
        ("def probe(device, clock): pass", "its NoneType has none of read, generate_batch"),
        (
            "class probe:\n def __init__(self, *a): self.is_pushing = True\n def run(self): pass",
            "its probe is pushing, but has no run() or stop()",
        ),
    ],
)
def test_what_cannot_be_made_is_told_once_and_tried_again(site, run, log, code, problem):
    site("soil", code, "probe")
    running = run("probe", limits=AT_ONCE)
    running.wait_for_problem(problem)
    wait_for(lambda: running.status["failures_total"] > 2, "more tries")
    assert running.status["state"] == "failing"
    assert len(log.warnings()) == 1
    assert problem in log.warnings()[0]
    assert running.samples == []


@pytest.mark.parametrize("what", ["import", "constructor"])
def test_what_blocks_at_the_beginning_is_shown_and_logged(site, run, log, what):
    wait = "tests.gate('gate').wait()\n"
    code = "import host.third_party_rig as tests\n"
    code += wait if what == "import" else ""
    code += "class probe:\n def __init__(self, device, clock):\n  "
    code += wait if what == "constructor" else "pass\n"
    code += " def read(self): return 5.0\n"
    site("soil", code, "probe")
    running = run("probe", limits={"blocked_ms": 50})
    wait_for(lambda: "gate" in GATES, "the call")
    wait_for(lambda: log.having(f"soil: its {what} does not return"), "the warning")
    running.clock.advance(61_000)
    assert running.status["state"] == "blocked"
    assert running.status["connection_problem"] == f"its {what} has not returned for 61 s"
    GATES["gate"].set()
    wait_for(lambda: running.samples, "a reading after all")
    assert running.status["state"] == "running"
    assert running.status["connection_problem"] == ""


def test_read_that_blocks_is_shown(site, run):
    site("soil", POLLED, "probe")
    running = run("probe", options={"values": ["block"]})
    wait_for(lambda: "read" in GATES, "the call")
    running.clock.advance(third_party.BLOCKED_MS)
    assert running.status["connection_problem"] == "its read has not returned for 30 s"


PUSHING = """
import host.third_party_rig as tests
from pyv_edge_agent.submission import Sample, Submission

class probe:
    is_pushing = True

    def __init__(self, device, clock):
        self.what = device["options"].get("what", "")
        self.stopping = tests.threading.Event()
        tests.MADE.append(self)

    def run(self, feed):
        if self.what == "return":
            return
        if self.what == "raise" and len(tests.MADE) < 3:
            raise RuntimeError("the secret value 777")
        if self.what == "nonsense" and len(tests.MADE) < 3:
            feed.put(Submission([Sample("x", "777")]))
        if self.what == "cancel" and len(tests.MADE) < 3:
            raise __import__("asyncio").CancelledError
        if self.what == "interrupt" and len(tests.MADE) < 3:
            raise KeyboardInterrupt
        feed.put(Submission([Sample("a", 1.5), Sample("b", 2.5, unit="V")]))
        self.stopping.wait()

    def stop(self):
        if self.what == "stop":
            raise OSError("can't")
        if self.what == "block":
            tests.gate("stop").wait()
        self.stopping.set()
"""


def test_pushing_adapter_has_the_feed(site, run):
    site("soil", PUSHING, "probe")
    running = run("probe")
    wait_for(lambda: len(running.samples) == 2, "what it pushes")
    assert [(one.channel, one.value, one.unit) for one in running.samples] == [
        ("a", 1.5, ""),
        ("b", 2.5, "V"),
    ]


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("raise", "soil: RuntimeError at soil.py:17"),
        ("nonsense", "soil: SubmissionError at soil.py:19: reading 0 is no Sample(str, float,"),
        ("cancel", "soil: CancelledError at soil.py:21"),
        ("interrupt", "soil: KeyboardInterrupt at soil.py:23"),
    ],
)
def test_pushing_adapter_that_fails_is_begun_again(site, run, log, what, problem):
    site("soil", PUSHING, "probe")
    running = run("probe", limits=AT_ONCE, options={"what": what})
    wait_for(lambda: running.samples, "what it pushes at last")
    assert len(MADE) == 3
    assert problem in log.warnings()[0]
    assert "777" not in log.whole()
    assert running.status["failures_total"] == 2


def test_pushing_adapter_that_ends_by_itself_is_begun_again(site, run):
    site("soil", PUSHING, "probe")
    running = run("probe", limits=AT_ONCE, options={"what": "return"})
    running.wait_for_problem("its run() returned before stop() was called")
    wait_for(lambda: len(MADE) > 2, "more tries")


@pytest.mark.parametrize("what", ["stop", "block"])
def test_stop_that_fails_or_blocks_holds_nothing_up(site, run, what):
    site("soil", PUSHING, "probe")
    running = run("probe", options={"what": what})
    wait_for(lambda: running.samples, "what it pushes")
    running.adapter.stop()
    MADE[0].stopping.set()


# -- which package ---------------------------------------------------------------------------


def test_unknown_kind_names_those_that_are_known(site):
    site("soil", POLLED, "probe")
    with pytest.raises(ConfigError) as error:
        device("prob")
    assert error.value.problems[0].endswith(
        "'prob' is unknown; known: file, http, http_poll, mqtt, serial, simulator, system;"
        " by packages: probe"
    )


def test_two_packages_with_one_kind_are_refused(site):
    site("soil", POLLED, "probe")
    site("moist", POLLED, "probe")
    with pytest.raises(AdapterError, match=r"brought by moist \(moist:probe\) and soil"):
        create_adapter(device("probe"), FakeClock())


def test_kinds_of_ours_are_not_looked_for(site):
    site("soil", POLLED, "simulator")
    assert type(create_adapter(device("simulator"), FakeClock())).__name__ == "SimulatorAdapter"


def test_unknown_key_beside_the_options_is_a_fault(site):
    site("soil", POLLED, "probe")
    with pytest.raises(ConfigError, match=r"wavelength: is not a setting; known here: .*options"):
        device("probe", wavelength=3)


def test_options_may_have_variables_and_are_not_shown(site, monkeypatch, tmp_path):
    from pyv_edge_agent.config.shown import entries

    site("soil", POLLED, "probe")
    monkeypatch.setenv("PYV_TEST_TOKEN", "secret-777")
    path = tmp_path / "edge.toml"
    path.write_text(
        '[sensors]\npoll_interval_seconds = 7\n[[sensors.devices]]\nname = "d"\n'
        'ingest_type = "probe"\n'
        'options = { login = { token = "${PYV_TEST_TOKEN}" }, pins = [1] }\n'
    )
    config = Config.from_file(path)
    (table,) = config.get("sensors", "devices")
    assert table["options"] == {"login": {"token": "secret-777"}, "pins": [1]}
    assert table["interval_seconds"] == 7.0
    assert table["on_error"] == "zero"
    shown = {entry.path: entry.value for entry in entries(config)}
    assert shown["sensors.devices[0].options"] == "(set)"
    assert "777" not in str(shown)


@pytest.mark.parametrize("value", ["2026-01-01", "inf", "[nan]", "{ a = 07:30:00 }"])
def test_options_have_what_json_has(site, tmp_path, value):
    site("soil", POLLED, "probe")
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[[sensors.devices]]\nname = "d"\ningest_type = "probe"\noptions = {{ when = {value} }}\n'
    )
    with pytest.raises(ConfigError, match="what JSON has not"):
        Config.from_file(path)


def test_schema_has_the_kinds_of_packages(site):
    from pyv_edge_agent.config.schema import make_schema

    def kinds():
        devices = make_schema()["properties"]["sensors"]["properties"]["devices"]
        found = [one["properties"]["ingest_type"] for one in devices["items"]["anyOf"]]
        return [one["const"] for one in found if "const" in one]

    before = kinds()
    site("soil", POLLED, "probe")
    assert kinds() == [*before, "probe"]


# -- in an agent -------------------------------------------------------------------------------


LATE = """
import host.third_party_rig as tests
from pyv_edge_agent.submission import Sample, Submission

class late:
    is_pushing = True
    def __init__(self, device, clock):
        self.is_taken = None
        tests.MADE.append(self)

    def run(self, feed):
        self.feed = feed
        feed.put(Submission([Sample("", 1.0)]))
        tests.gate("stop").wait()

    def stop(self):
        self.is_taken = self.feed.put(Submission([Sample("", 7.0)]))
        tests.gate("stop").set()
"""


def test_what_comes_while_its_device_is_taken_away_is_not_taken(site, agents, write_config):
    """It would be stored when nobody can tell its sender any more, who would send it again."""
    site("tardy", LATE, "late")
    theirs = {"name": "theirs", "ingest_type": "late"}
    simulated = {"name": "t1", "ingest_type": "simulator"}
    agent = agents(write_config([theirs, simulated]))
    agent.start()
    wait_for(lambda: MADE and agent.store.readings(sensor="theirs"), "its first reading")
    write_config([simulated])
    agent.reload_config()
    wait_for(lambda: MADE[0].is_taken is not None, "its stop")
    assert MADE[0].is_taken is False
    agent.stop()
    with closing(sqlite3.connect(agent._config.store_path)) as connection:
        found = connection.execute("SELECT value FROM readings WHERE sensor = 'theirs'").fetchall()
    assert found == [(1.0,)]


def test_reload_that_fails_lets_adapters_go_on(site, agents, write_config):
    site("tardy", LATE, "late")
    theirs = {"name": "theirs", "ingest_type": "late"}
    agent = agents(write_config([theirs]))
    agent.start()
    wait_for(lambda: MADE and agent.store.readings(sensor="theirs"), "its first reading")
    feed, late = MADE[0].feed, Submission([Sample("", 2.0)])

    def fail():
        with agent._devices.held(["theirs"]):
            assert not feed.put(late)
            raise StoreError("can't store now")

    with pytest.raises(StoreError):
        fail()
    assert feed.put(late)


class Hanging:
    """A device that takes its time to end."""

    def __init__(self, clock):
        self.clock, self.timeouts_s = clock, []

    def stop(self):
        pass

    def join(self, timeout_s):
        self.timeouts_s.append(timeout_s)
        self.clock.advance(1500)


def test_devices_that_do_not_end_are_waited_for_together(tmp_path):
    clock = FakeClock()
    devices = Devices(clock, random.Random(1), None, None, tmp_path, None)
    hanging = [Hanging(clock) for _ in range(3)]
    devices._stop(hanging)
    assert [one.timeouts_s for one in hanging] == [[2.0], [0.5], [0.0]]


def test_agent_goes_on_beside_an_adapter_that_blocks_and_one_that_fails(
    site, agents, write_config, log
):
    site("soil", POLLED, "probe")
    site("stuck", "import host.third_party_rig as tests\ntests.gate('gate').wait()\n", "stuck")
    simulated = {"name": "t1", "ingest_type": "simulator", "noise_std": 0.0}
    devices = [
        simulated,
        {"name": "good", "ingest_type": "probe", "interval_seconds": 0.05},
        {"name": "bad", "ingest_type": "probe", "options": {"values": ["raise"]}},
        {"name": "blocked", "ingest_type": "stuck"},
    ]
    agent = agents(write_config(devices, sensors={"poll_interval_seconds": 0.05}))
    agent.start()

    def stored():
        found = agent.store.readings()
        return {one["sensor"] for one in found if one["quality"] == "good"}

    wait_for(lambda: stored() >= {"t1", "good"}, "readings of those that work")
    from pyv_edge_agent.report import health_report

    told = {one["name"]: one for one in health_report(agent)["devices"]}
    assert told["good"]["state"] == "running"
    assert told["bad"]["connection_problem"] == "soil: OSError at soil.py:13"
    assert told["bad"]["failures_total"] >= 1
    assert told["blocked"]["is_connected"] is False
    agent.stop()
    assert not agent.is_running
    assert "777" not in log.whole()
