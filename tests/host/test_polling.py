"""Polling: what is read of devices, what is known of those that fail."""

import threading
from types import SimpleNamespace

import pytest
from host.fakes import UTC_MS, FakeClock
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.heartbeat import Heartbeat
from pyv_edge_agent.polling import Polling
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD


class Adapter:
    """Gives what it is told, or raises it."""

    def __init__(self, found):
        self.found = found

    def read(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Stage:
    """Takes what was polled, as Ingest does, while it has room."""

    def __init__(self, clock):
        self.time = clock
        self.has_room = True
        self.refuses = None
        self.taken = []  # (device, value, quality)

    def add_polled(self, device, reading, quality):
        if self.refuses is not None:
            raise self.refuses
        assert reading.timestamp == UTC_MS / 1000
        self.taken.append((device["name"], reading.value, quality))


class Rig:
    def __init__(self):
        self.clock = FakeClock()
        self.stage = Stage(self.clock)
        self.tables = {name: {"name": name, "unit": "Cel", "interval_seconds": 0} for name in "ab"}
        self.devices = SimpleNamespace(polled=["a", "b"], table=self.tables.get)
        self.adapters = {"a": Adapter(1.5), "b": Adapter(2.5)}
        self.polling = Polling(threading.Lock(), self.clock)
        self.plan()

    def plan(self, on_error="zero"):
        config = Config({"sensors": {"on_error": on_error}})
        self.polling.plan(self.devices, config, self.clock.monotonic_ms())

    def read(self, name):
        return self.polling.read(name, self.adapters.get(name), PrivacyPolicy())

    def poll(self, read=None):
        """Poll all devices; return what was taken."""
        self.stage.taken.clear()
        heartbeat = Heartbeat("poll", self.clock)
        self.polling.poll(["a", "b"], read or self.read, self.devices, self.stage, heartbeat)
        return self.stage.taken


@pytest.fixture
def rig():
    return Rig()


def test_polls_that_come_too_late_are_counted_over_reloads_and_starts(rig):
    assert rig.polling.schedule.take(rig.clock.monotonic_ms()) == ["a", "b"]
    interval_ms = round(rig.polling.schedule.common_ms)
    rig.clock.advance(3 * interval_ms)
    rig.polling.schedule.take(rig.clock.monotonic_ms())
    assert rig.polling.missed_total == 2 * 2
    other = Config({"sensors": {"poll_interval_seconds": 1}})
    rig.polling.plan(rig.devices, other, rig.clock.monotonic_ms())
    rig.clock.advance(2000)
    rig.polling.schedule.take(rig.clock.monotonic_ms())
    assert rig.polling.missed_total == 2 * 2 + 2 * 2
    rig.polling.begin()
    assert rig.polling.missed_total == 8


def test_device_that_fails_holds_up_no_other(rig):
    rig.adapters["a"] = Adapter(OSError("gone"))
    assert rig.poll() == [("a", 0.0, QUALITY_BAD), ("b", 2.5, QUALITY_GOOD)]


def test_failures_in_a_row_are_known_until_the_device_reads_again(rig):
    rig.adapters["a"] = Adapter(OSError("gone"))
    rig.poll()
    rig.adapters["a"] = Adapter(OSError("still gone"))
    rig.poll()
    (failure,) = rig.polling.failing.values()
    assert (failure.count, failure.problem) == (2, "still gone")
    rig.adapters["a"] = Adapter(3.5)
    assert rig.poll() == [("a", 3.5, QUALITY_GOOD), ("b", 2.5, QUALITY_GOOD)]
    assert rig.polling.failing == {}
    assert rig.polling.failures_total == 2


def test_device_without_an_adapter_fails(rig):
    del rig.adapters["a"]
    assert rig.poll()[0] == ("a", 0.0, QUALITY_BAD)
    assert list(rig.polling.failing) == ["a"]
    assert rig.polling.failures_total == 0  # of adapters


def test_what_is_forgotten_has_no_problem(rig):
    rig.adapters = {"a": Adapter(OSError("gone")), "b": Adapter(OSError("lost"))}
    rig.poll()
    rig.polling.forget("a")
    assert list(rig.polling.failing) == ["b"]
    rig.polling.forget("a")  # no error
    rig.polling.begin()
    assert rig.polling.failing == {}
    assert rig.polling.failures_total == 2


def test_failure_is_not_stored_if_the_plan_says_so(rig):
    rig.adapters["a"] = Adapter(OSError("gone"))
    rig.plan(on_error="skip")
    assert rig.poll() == [("b", 2.5, QUALITY_GOOD)]
    rig.plan()
    assert rig.poll()[0] == ("a", 0.0, QUALITY_BAD)


def test_nothing_is_read_while_there_is_no_room(rig):
    rig.stage.has_room = False
    rig.adapters["a"] = Adapter(OSError("gone"))
    assert rig.poll() == []
    assert rig.polling.skipped_total == 2
    assert rig.polling.failing == {}


def test_reading_that_the_store_does_not_take_is_counted(rig, log):
    rig.stage.refuses = StoreError("no such table")
    assert rig.poll() == []
    assert rig.polling.skipped_total == 2
    assert log.having("can't store a: no such table")


def test_reading_of_a_device_that_was_replaced_meanwhile_is_not_stored(rig):
    def read(name):
        rig.tables["a"] = dict(rig.tables["a"])
        return rig.read(name)

    assert rig.poll(read) == [("b", 2.5, QUALITY_GOOD)]


def test_plan_is_kept_unless_the_common_interval_changes(rig):
    schedule = rig.polling.schedule
    rig.plan()
    assert rig.polling.schedule is schedule
    rig.polling.begin()
    rig.plan()
    assert rig.polling.schedule is not schedule
