"""SystemMetrics: figures of the computer, and how the CPU share is worked out."""

import json
from collections import namedtuple

import pytest
from host.fakes import UTC_MS, FakeClock
from pyv_edge_agent.metrics import SystemMetrics

Times = namedtuple("Times", "user nice system idle iowait irq softirq steal guest guest_nice")


class FakePsutil:
    """Only what `_cpu_percent` asks of psutil."""

    def __init__(self, *times):
        self.times = list(times)

    def cpu_times(self):
        return self.times.pop(0)


def times(user=0.0, idle=0.0, iowait=0.0, guest=0.0):
    return Times(user, 0.0, 0.0, idle, iowait, 0.0, 0.0, 0.0, guest, 0.0)


def percents(*moments):
    metrics = SystemMetrics(clock=FakeClock())
    psutil = FakePsutil(*moments)
    return [metrics._cpu_percent(psutil) for _ in moments]


def test_figures_are_those_of_the_documentation():
    clock = FakeClock()
    metrics = SystemMetrics(clock=clock)
    clock.advance(2500)
    found = metrics.to_dict()
    assert set(found) == {
        "cpu_percent",
        "ram_percent",
        "disk_percent",
        "thermal_celsius",
        "uptime_seconds",
        "timestamp",
    }
    assert found["uptime_seconds"] == 2.5
    assert found["timestamp"] == (UTC_MS + 2500) / 1000
    assert 0 < found["ram_percent"] <= 100
    assert 0 <= found["disk_percent"] <= 100
    assert found["thermal_celsius"] is None or isinstance(found["thermal_celsius"], (int, float))
    assert json.loads(json.dumps(found)) == found


def test_first_share_of_the_cpu_is_zero():
    assert percents(times(user=1000, idle=1)) == [0.0]


def test_share_of_the_cpu_is_of_the_time_between_two_calls():
    moments = (times(10, 90), times(12, 98), times(15, 98), times(15, 108))
    assert percents(*moments) == [0.0, 20.0, 100.0, 0.0]


def test_waiting_for_the_disk_is_not_work():
    assert percents(times(10, 90, 0), times(15, 90, 5)) == [0.0, 50.0]


def test_guests_are_not_counted_twice():
    assert percents(times(10, 90), times(15, 95, guest=5)) == [0.0, 50.0]


def test_no_time_passed_is_no_division_by_zero():
    assert percents(times(10, 90), times(10, 90)) == [0.0, 0.0]


def test_uptime_does_not_follow_the_wall_clock():
    clock = FakeClock()
    metrics = SystemMetrics(clock=clock)
    clock.now_utc_ms += 10**9
    assert metrics.to_dict()["uptime_seconds"] == 0.0


# -- what only some computers tell -------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        ("0\n", set()),
        (
            "50005\n",
            {"under_voltage", "throttled", "under_voltage_since_boot", "throttled_since_boot"},
        ),
        ("0x80008", {"soft_temperature_limit", "soft_temperature_limit_since_boot"}),
    ],
)
def test_firmware_of_a_raspberry_pi_is_believed(tmp_path, content, flags):
    path = tmp_path / "get_throttled"
    path.write_text(content)
    found = SystemMetrics(clock=FakeClock(), throttled_path=path).to_dict()["throttled"]
    assert {name for name, is_set in found.items() if is_set} == flags
    assert len(found) == 8


def test_other_computers_have_no_such_flags(tmp_path):
    garbage = tmp_path / "get_throttled"
    garbage.write_text("what?")
    for path in (tmp_path / "none", garbage):
        assert "throttled" not in SystemMetrics(clock=FakeClock(), throttled_path=path).to_dict()


def test_disk_that_is_not_there_any_more_is_no_figure(tmp_path):
    found = SystemMetrics(str(tmp_path / "gone"), FakeClock()).to_dict()
    assert found["disk_percent"] is None
    assert found["ram_percent"] > 0
