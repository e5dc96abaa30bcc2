"""SystemAdapter: figures of the computer; what it doesn't have is an error, never a 0."""

from collections import namedtuple
from types import SimpleNamespace

import pytest
from host.fakes import FakeClock
from pyv_edge_agent.adapters import create_adapter, read_value
from pyv_edge_agent.adapters.system import SystemAdapter
from pyv_edge_agent.clock import SystemClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import AdapterError
from pyv_edge_agent.settings import SYSTEM_UNITS

Times = namedtuple("Times", "user nice system idle iowait irq softirq steal")
Heat = namedtuple("Heat", "label current")


class FakePsutil:
    """A computer that has what the test says; else nothing."""

    def __init__(self, **figures):
        self.figures = figures

    def _give(self, name):
        found = self.figures.get(name)
        if isinstance(found, Exception):
            raise found
        return found

    def cpu_times(self):
        return Times(*self.figures["cpu"])

    def virtual_memory(self):
        return SimpleNamespace(percent=41.5)

    def swap_memory(self):
        return SimpleNamespace(total=self.figures.get("swap", 0), percent=12.5)

    def disk_usage(self, path):
        return SimpleNamespace(percent=self.figures["disks"][path])

    def getloadavg(self):
        return (0.75, 0.5, 0.25)

    def boot_time(self):
        return 1_779_999_000.0

    def sensors_temperatures(self):
        return self.figures.get("heat", {})

    def net_io_counters(self, pernic=False):
        return self._give("nics" if pernic else "net")

    def disk_io_counters(self, perdisk=False):
        return self._give("drives" if perdisk else "io")


def device(metric, **settings):
    table = {"name": "d", "ingest_type": "system", "metric": metric, **settings}
    return Config({"sensors": {"devices": [table]}}).get("sensors", "devices")[0]


class Site:
    def __init__(self, metric, settings=(), **figures):
        self.clock = FakeClock()
        self.psutil = FakePsutil(**figures)
        self.waits = []
        self.adapter = SystemAdapter(
            device(metric, **dict(settings)), self.clock, psutil=self.psutil, wait=self.wait
        )

    def wait(self, seconds):
        self.waits.append(seconds)
        self.clock.advance(round(seconds * 1000))

    def read(self):
        return read_value(self.adapter)

    def problem(self):
        with pytest.raises(AdapterError) as error:
            self.read()
        return str(error.value)


def net(received, sent=0):
    return SimpleNamespace(bytes_recv=received, bytes_sent=sent)


def io(read, written=0):
    return SimpleNamespace(read_bytes=read, write_bytes=written)


@pytest.mark.parametrize(
    ("metric", "settings", "figures", "expected"),
    [
        ("ram_percent", {}, {}, 41.5),
        ("swap_percent", {}, {"swap": 1024}, 12.5),
        ("disk_percent", {}, {"disks": {"/": 71.0}}, 71.0),
        ("disk_percent", {"path": "/data"}, {"disks": {"/data": 3.5}}, 3.5),
        ("load_1", {}, {}, 0.75),
        ("uptime_seconds", {}, {}, 1000.0),
        ("temperature", {}, {"heat": {"cpu": [Heat("", 55.5)], "nvme": [Heat("", 40)]}}, 55.5),
        (
            "temperature",
            {"source": "nvme/Composite"},
            {"heat": {"cpu": [Heat("", 55.5)], "nvme": [Heat("Composite", 40), Heat("x", 41)]}},
            40.0,
        ),
        ("temperature", {"source": "a/1"}, {"heat": {"a": [Heat("", 1), Heat("", 2)]}}, 2.0),
        ("network_received_bytes", {}, {"net": net(7, 8)}, 7.0),
        ("network_sent_bytes", {"source": "eth0"}, {"nics": {"eth0": net(7, 8)}}, 8.0),
        ("disk_read_bytes", {}, {"io": io(5, 6)}, 5.0),
        ("disk_written_bytes", {"source": "sda"}, {"drives": {"sda": io(5, 6)}}, 6.0),
    ],
)
def test_figure_is_what_the_computer_says(metric, settings, figures, expected):
    assert Site(metric, settings, **figures).read() == expected


@pytest.mark.parametrize(
    ("metric", "settings", "figures", "problem"),
    [
        ("swap_percent", {}, {}, "this computer has no swap"),
        ("temperature", {}, {}, "this computer tells none"),
        (
            "temperature",
            {"source": "gpu"},
            {"heat": {"cpu": [Heat("", 55.5)]}},
            "there is no 'gpu'; there are: cpu",
        ),
        ("network_sent_bytes", {}, {}, "counts no bytes of its network"),
        (
            "network_sent_rate",
            {"source": "eth9"},
            {"nics": {"lo": net(0), "eth0": net(0)}},
            "there is no 'eth9'; there are: eth0, lo",
        ),
        ("disk_read_bytes", {}, {}, "counts no bytes of its disk"),
        ("disk_read_rate", {"source": "sda"}, {}, "there is no 'sda'; there are: none"),
        ("disk_read_bytes", {}, {"io": NotImplementedError("no diskstats")}, "no diskstats"),
        ("network_sent_bytes", {}, {"net": PermissionError(13, "denied")}, "denied"),
    ],
)
def test_what_the_computer_does_not_have_is_an_error_that_says_so(
    metric, settings, figures, problem
):
    found = Site(metric, settings, **figures).problem()
    assert found.startswith(f"{metric}: ")
    assert problem in found


def test_folder_that_is_not_there_is_an_error(tmp_path):
    adapter = create_adapter(device("disk_percent", path=str(tmp_path / "no")), FakeClock())
    with pytest.raises(AdapterError, match=r"^disk_percent: .*No such file"):
        adapter.read()


def test_share_of_the_cpu_is_that_since_the_read_before():
    site = Site("cpu_percent", cpu=(10, 0, 0, 90, 0, 0, 0, 0))
    site.psutil.figures["cpu"] = (12, 0, 0, 98, 0, 0, 0, 0)
    assert site.read() == 20.0
    assert site.waits == [0.1]  # the first look was taken in the same moment
    site.psutil.figures["cpu"] = (15, 0, 0, 98, 0, 0, 0, 0)
    assert site.read() == 100.0
    assert site.waits == [0.1]


def test_no_processor_time_is_no_share_and_nothing_is_forgotten():
    site = Site("cpu_percent", cpu=(10, 0, 0, 90, 0, 0, 0, 0))
    assert "no processor time" in site.problem()
    site.psutil.figures["cpu"] = (11, 0, 0, 91, 0, 0, 0, 0)
    assert site.read() == 50.0


@pytest.mark.parametrize(
    ("metric", "name", "count", "settings"),
    [
        ("network_received_rate", "net", lambda n: net(n, 3), {}),
        ("network_sent_rate", "nics", lambda n: {"eth0": net(3, n)}, {"source": "eth0"}),
        ("disk_read_rate", "io", lambda n: io(n, 3), {}),
        ("disk_written_rate", "drives", lambda n: {"sda": io(3, n)}, {"source": "sda"}),
    ],
)
def test_rate_is_over_the_time_since_the_read_before(metric, name, count, settings):
    site = Site(metric, settings, **{name: count(1000)})
    site.clock.advance(2000)
    site.psutil.figures[name] = count(5000)
    assert site.read() == 2000.0
    site.clock.advance(500)
    assert site.read() == 0.0
    site.clock.advance(500)
    site.psutil.figures[name] = count(20)
    assert "began anew" in site.problem()
    site.clock.advance(1000)
    site.psutil.figures[name] = count(120)
    assert site.read() == 100.0


def test_interface_that_comes_later_has_a_rate_from_its_second_read_on():
    site = Site("network_sent_rate", {"source": "ppp0"}, nics={})
    site.clock.advance(1000)
    assert "there is no 'ppp0'" in site.problem()
    site.psutil.figures["nics"] = {"ppp0": net(0, 500)}
    assert "began anew" in site.problem()
    site.clock.advance(1000)
    site.psutil.figures["nics"] = {"ppp0": net(0, 700)}
    assert site.read() == 200.0


def test_computer_without_sensors_of_temperature_has_none():
    adapter = SystemAdapter(device("temperature"), FakeClock(), psutil=SimpleNamespace())
    with pytest.raises(AdapterError, match="tells none"):
        adapter.read()


def test_unit_is_that_of_the_metric_unless_the_device_has_another():
    assert device("cpu_percent")["unit"] == "%"
    assert device("disk_read_rate")["unit"] == "By/s"
    assert device("temperature", unit="degC")["unit"] == "degC"


@pytest.mark.parametrize("metric", sorted(SYSTEM_UNITS))
def test_every_metric_is_there_or_says_why_not_on_this_computer(metric):
    adapter = create_adapter(device(metric), SystemClock())
    problem, value = "", None
    try:
        value = read_value(adapter)
    except AdapterError as error:
        problem = str(error)
    if problem:
        assert problem.startswith(f"{metric}: ")
        assert metric in ("swap_percent", "temperature") or "disk" in metric
    else:
        assert value >= 0 or metric == "temperature"
