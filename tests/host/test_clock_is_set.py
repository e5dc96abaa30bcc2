"""An agent on a computer without a battery clock: from a cold start to the cloud."""

import pytest
from host.conftest import SIMULATED
from host.fakes import UTC_MS, FakeClock
from host.servers import serving
from host.waiting import wait_for
from pyv_edge_agent.report import health_report

WRONG_MS = -1000 * 86_400_000


@pytest.fixture
def cold(agents, write_config):
    """Return a function that starts an agent on a clock that is wrong, by the same store."""
    clock = FakeClock(utc_ms=UTC_MS + WRONG_MS, is_set=False)

    def start(url="", **sections):
        cloud = {"enabled": bool(url), "endpoint": url}
        time = {"source": "ntp", **sections.pop("time", {})}
        path = write_config([SIMULATED], cloud=cloud, time=time, **sections)
        agent = agents(path, clock=clock)
        agent.start()
        wait_for(lambda: agent._readings_processed >= 1, "first cycle")
        return agent

    start.clock = clock
    return start


def poll(agent, count=1):
    for _ in range(count):
        agent.clock.advance(1000)
        agent.run_once()


def stamps(cloud):
    """Return (seconds since UTC_MS, time quality) of the readings that were sent."""
    return [
        (item["timestamp"] - UTC_MS / 1000, item["metadata"].get("time_quality"))
        for body in cloud.bodies
        for item in body["items"]
        if "seq" in item["metadata"]
    ]


def test_readings_wait_for_the_clock_and_reach_the_cloud_with_their_right_time(cold):
    with serving() as cloud:
        agent = cold(cloud.url)
        poll(agent, 2)
        wait_for(lambda: agent.workers[0].waiting, "the uploader to look")
        found = health_report(agent)
        assert found["cloud"]["problem"] == "the clock of this computer is not set yet"
        assert found["cloud"]["waits_total"] == 1
        assert found["cloud"]["queue_depth"] == 3
        assert found["time"]["is_synchronised"] is False
        assert cloud.bodies == []
        cold.clock.step(-WRONG_MS)
        cold.clock.is_set = True
        poll(agent)
        wait_for(lambda: not agent._ingest.time.is_retiming, "the correction")

        def is_delivered():
            cold.clock.advance(1000)
            agent.workers[0].wake()
            return len(stamps(cloud)) == 4

        wait_for(is_delivered, "a delivery")
        found = health_report(agent)
        assert found["time"].pop("retimed_total") in (3, 4)  # was the step seen before the poll?
        assert found["time"] == {
            "is_synchronised": True,
            "is_retiming": False,
            "error_ms": 1,
            "steps_total": 1,
        }
        assert found["cloud"]["problem"] == ""
    seconds = [second for second, _ in stamps(cloud)]
    assert seconds == [0, 1, 2, 3]
    assert [quality for _, quality in stamps(cloud)][:3] == ["retimed"] * 3


def test_readings_are_sent_as_they_are_once_the_wait_is_over(cold):
    with serving() as cloud:
        agent = cold(cloud.url, time={"upload_wait_seconds": 0.0})
        wait_for(lambda: len(stamps(cloud)) == 1, "a delivery")
        assert stamps(cloud) == [(WRONG_MS / 1000, "unset")]
        agent.stop()


def test_trusted_clock_needs_nobody(cold):
    with serving() as cloud:
        agent = cold(cloud.url, time={"source": "trusted"})
        wait_for(lambda: len(stamps(cloud)) == 1, "a delivery")
        assert stamps(cloud) == [(WRONG_MS / 1000, None)]
        assert health_report(agent)["time"]["is_synchronised"] is True


def test_agent_that_is_stopped_before_the_clock_was_set_corrects_at_its_next_start(cold):
    agent = cold()
    poll(agent, 2)
    agent.stop()
    cold.clock.step(-WRONG_MS)
    cold.clock.is_set = True
    again = cold()
    poll(again)
    rows = again._store._reader().execute("SELECT utc_ms, quality >> 2 FROM reading").fetchall()
    assert [moment - UTC_MS for moment, _ in rows] == [0, 1000, 2000, 2000, 3000]
    assert [quality for _, quality in rows] == [2, 2, 2, 0, 0]
