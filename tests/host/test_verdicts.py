"""Each part of an agent is broken in turn, and /health says exactly that, and since when."""

import re
import socket

import pytest
from host.asking import ask, report
from host.broken_parts import (
    PARTS,
    Site,
    board_that_is_up,
    cloud,
    deaf_port,
    listening,
    no_cloud,
    port_of,
)
from host.fakes import ShiftedClock
from host.servers import Answer, serving
from host.waiting import wait_for
from pyv_edge_agent.health import near_cap
from pyv_edge_agent.report import status_line

from host import http_rig


@pytest.fixture
def site(agents, write_config, tmp_path):
    return Site(agents, write_config, tmp_path)


@pytest.mark.parametrize("broken", PARTS, ids=lambda one: one.what)
def test_broken_part_is_told(site, broken):
    with broken.breaks(site) as agent:
        reply = ask(agent, "/health")
        found = reply.told["components"]
        ill = {name: one for name, one in found.items() if one["status"] != "healthy"}
        assert ill[broken.part]["status"] == broken.status
        pattern = re.escape(broken.reason).replace(re.escape("<...>"), ".+")
        assert re.fullmatch(pattern, ill[broken.part]["reason"]), ill
        assert reply.status == (503 if broken.status == "unhealthy" else 200)
        assert reply.told["status"] == broken.status
        assert (ask(agent, "/livez").status == 200) == broken.is_live
        assert (ask(agent, "/readyz").status == 200) == broken.is_ready
        assert set(ill) == {broken.part, *broken.also}  # nothing else is blamed


def verdicts(agent):
    return report(agent)["components"]


def test_everything_is_healthy_once_it_works(site):
    agent = site.run()
    found = verdicts(agent)
    assert {one["status"] for one in found.values()} == {"healthy"}
    assert {one["reason"] for one in found.values()} == {""}
    assert set(found) == {"worker/edge-agent", "worker/edge-health", "store", "queue", "clock"} | {
        "device/t1"
    }
    assert ask(agent, "/livez").told == {"status": "ok", "reason": ""}
    assert ask(agent, "/readyz").told == {"status": "ok", "reason": ""}


def test_verdict_is_of_the_moment_at_which_somebody_asks(site):
    """Nothing comes and nobody has looked meanwhile: the age alone changes it."""
    clock = ShiftedClock()
    agent = listening(site, clock, silent_after_seconds=30)
    assert http_rig.ask(port_of(agent), http_rig.reading()).status == 200
    wait_for(lambda: verdicts(agent)["device/in"]["last_success_age_seconds"] is not None, "it")
    assert verdicts(agent)["device/in"]["status"] == "healthy"
    clock.ahead_ms += 40_000
    found = verdicts(agent)["device/in"]
    assert found["status"] == "degraded"
    assert 40 <= found["last_success_age_seconds"] < 60
    now = report(agent)["timestamp"]
    assert 9 <= now - found["since"] < 30  # since it was due, not since somebody asked
    assert http_rig.ask(port_of(agent), http_rig.reading()).status == 200
    wait_for(lambda: verdicts(agent)["device/in"]["status"] == "healthy", "a reading to count")


def test_device_that_never_came_is_silent_too(site):
    clock = ShiftedClock()
    agent = listening(site, clock, silent_after_seconds=30)
    assert verdicts(agent)["device/in"]["status"] == "healthy"
    clock.ahead_ms += 31_000
    found = verdicts(agent)["device/in"]
    assert (found["status"], found["last_success_age_seconds"]) == ("degraded", None)


def test_since_is_kept_while_a_verdict_holds_and_begins_anew_with_another(site):
    clock = ShiftedClock()
    agent = site.run(clock=clock)
    began = verdicts(agent)["store"]["since"]
    agent._store._writer.execute("PRAGMA query_only = ON")
    agent.run_once()
    failed = verdicts(agent)["store"]["since"]
    assert failed > began - 0.01
    clock.ahead_ms += 5000
    # UTC stands still meanwhile, as the clock that is shifted is the other one.
    assert abs(verdicts(agent)["store"]["since"] - (failed - 5)) < 1
    agent._store._writer.execute("PRAGMA query_only = OFF")
    agent.run_once()
    assert verdicts(agent)["store"]["status"] == "healthy"
    assert ask(agent, "/readyz").status == 200


def test_sink_that_was_away_and_is_back_is_healthy(site):
    with serving(Answer(503), Answer(503), Answer(200)) as server:
        agent = site.start(
            cloud={
                **cloud(server.url),
                "retry_base_seconds": 0.01,
                "retry_max_seconds": 0.05,
            }
        )
        wait_for(lambda: agent.workers[0].readings_total, "a delivery", 30)
        found = verdicts(agent)["sink/http"]
    assert (found["status"], found["reason"]) == ("healthy", "")
    assert found["last_success_age_seconds"] < 30
    assert agent.workers[0].failing_ms is None
    assert report(agent)["sinks"]["http"]["attempts"] == {"throttled": 2, "accepted": 1}


def test_nothing_is_restarted_because_a_peer_is_away(site):
    with no_cloud(site) as agent:
        assert agent.heartbeats.late() == []  # by which the watchdog is fed
        assert ask(agent, "/livez").status == 200
        assert ask(agent, "/readyz").status == 200
        assert ask(agent, "/health").status == 200


# -- sinks that say nothing ----------------------------------------------------------------


def test_cloud_that_never_answers_is_told_while_the_attempt_goes_on(site):
    clock = ShiftedClock()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/in"
        agent = site.run(clock=clock, cloud={**cloud(url), "timeout_seconds": 600})
        wait_for(lambda: agent._cloud.pending_count(), "a reading that waits")
        assert verdicts(agent)["sink/http"]["status"] == "healthy"
        clock.ahead_ms += 61_000
        found = verdicts(agent)["sink/http"]
        assert found["status"] == "degraded"
        assert found["reason"] == "1 wait, and nothing was delivered for over 60 s"
        assert 0 <= report(agent)["timestamp"] - found["since"] < 30


def test_sink_that_had_nothing_to_do_for_long_is_not_late_with_the_first_reading(site):
    clock = ShiftedClock()
    with serving() as server:
        agent = site.run(clock=clock, cloud=cloud(server.url))
        wait_for(lambda: agent.workers[0].readings_total, "a delivery")
        assert verdicts(agent)["sink/http"]["status"] == "healthy"
        clock.ahead_ms += 70_000
        server.hangs = True
        agent.run_once()
        wait_for(lambda: agent._cloud.pending_count(), "a reading that waits")
        assert verdicts(agent)["sink/http"]["status"] == "healthy"
        server.hang.set()


def test_failed_poll_is_no_success(site):
    with deaf_port() as port:
        device = {"name": "away", "ingest_type": "http_poll", "url": f"http://127.0.0.1:{port}/"}
        agent = site.start([{**device, "on_error": "zero", "interval_seconds": 0.1}])
        wait_for(lambda: agent._readings_processed, "a placeholder")
        found = verdicts(agent)["device/away"]
    assert (found["status"], found["last_success_age_seconds"]) == ("degraded", None)


def test_disk_that_is_nearly_full_is_told_whatever_the_store_takes():
    storage = {"min_free_mb": 0.0, "low_water": 0.9}
    told = {"salvaging_from": "", "state": "ok", "size_bytes": 10, "free_bytes": 0}
    told |= {"room_bytes": 1000, "disk_free_bytes": 10**9, "evicted_age_seconds": None}
    assert near_cap(told, storage) == ""
    assert "1 MB left" in near_cap({**told, "disk_free_bytes": 10**6}, storage)
    assert "MB left" in near_cap(told, {**storage, "min_free_mb": 2000.0})
    assert "for want of room" in near_cap({**told, "evicted_age_seconds": 30.0}, storage)
    assert near_cap({**told, "evicted_age_seconds": 3600.0}, storage) == ""


def test_board_whose_port_is_lent_is_healthy_until_that_is_over(site):
    with board_that_is_up(site) as (agent, clock, _):
        agent.links[0].loan.lend(600_000).result(30)
        clock.ahead_ms += 60_000  # long enough for silence, if it were one
        found = verdicts(agent)["device/porch"]
        assert found["status"] == "healthy"
        assert re.fullmatch(r"lent until \d\d:\d\d UTC", found["reason"])
        assert f"porch: {found['reason']}" in status_line(agent)
        (device,) = report(agent, "/api/v1/devices")["devices"]
        assert (device["state"], device["status"]) == ("lent", "healthy")
        scraped = ask(agent, "/metrics/prometheus").body.decode()
        assert 'pyv_edge_link_state{device="porch",state="lent"} 1.0' in scraped
        assert 'pyv_edge_link_state_changes_total{device="porch",state="lent"} 1.0' in scraped
        clock.ahead_ms += 600_000
        agent.links[0]._wake()
        wait_for(lambda: verdicts(agent)["device/porch"]["status"] == "degraded", "its end")
        assert "there is no session yet" in verdicts(agent)["device/porch"]["reason"]
