"""The comparison counts what it says: readings, losses, what comes twice, and costs."""

import json
import os
import subprocess
import sys

import pytest
from host.processes import find
from pyv_edge_bench import registry
from pyv_edge_bench.peers import comparison, load, naive
from pyv_edge_bench.peers.comparison import Entry, Rounds
from pyv_edge_bench.peers.cost import Cost
from pyv_edge_bench.peers.ours import Ours
from pyv_edge_bench.peers.source import Board, Lines, Sensors
from pyv_edge_bench.peers.trial import (
    Fate,
    Throughput,
    Trial,
    killed,
    throughput,
    without_upstream,
)
from pyv_edge_bench.peers.upstream import Upstream
from rig import wait_for

COUNT = 300


@pytest.fixture
def trial(tmp_path):
    """Return what makes a trial, which is closed in the end."""
    find("mosquitto")
    made = []

    def make(peer, source):
        folder = tmp_path / f"trial{len(made)}"
        folder.mkdir()
        made.append(Trial(peer, source, folder, steady_s=0.3))
        return made[-1]

    yield make
    for one in made:
        one.close()


# -- the load ------------------------------------------------------------------------


def test_numbers_come_back_out_of_values():
    for number in (1, 16, 17, 99_999, 250_000):
        assert load.number_of(json.loads(load.message(number))["value"]) == number
        assert load.number_of(json.loads(load.line(number))["value"]) == number
    for value in (None, True, "1.0", [1]):
        with pytest.raises(ValueError, match="no value of a reading"):
            load.number_of(value)


def test_no_sensor_has_two_readings_of_one_millisecond():
    seen = {(load.topic(n), json.loads(load.message(n))["timestamp"]) for n in range(1, 500)}
    assert len(seen) == 499


# -- what arrives ---------------------------------------------------------------------


class Told:
    """A peer whose messages say which readings are in them, and what they are known by."""

    def numbers(self, topic, payload):
        return [number for number, _ in json.loads(payload)]

    def identities(self, topic, payload):
        return [identity for _, identity in json.loads(payload)]


@pytest.fixture
def upstream(tmp_path):
    find("mosquitto")
    made = Upstream(tmp_path / "upstream", Told())
    yield made
    made.close()


def publish(upstream, *readings):
    upstream._client.publish("x", json.dumps(readings), 1)


def test_upstream_tells_what_comes_again_and_whether_that_can_be_known(upstream):
    upstream.expect(10, 5)
    publish(upstream, (9, ""), (10, ""), (11, ""))  # 9 is of the warm-up
    publish(upstream, (11, ""))
    publish(upstream, (12, "a"), (13, "b"))
    publish(upstream, (12, "a"), (13, "b"))
    publish(upstream, (13, "c"), (14, "d"))  # 13 is another one to whoever goes by that
    wait_for(lambda: upstream.arrived == 5, "all of them")
    assert (upstream.repeated, upstream.doubled) == (4, 2)  # of 11 and of the second 13
    upstream.check()
    upstream.expect(10, 5)
    assert (upstream.arrived, upstream.doubled, upstream.repeated) == (0, 0, 0)


def test_a_reading_that_was_never_sent_is_an_error(upstream):
    upstream.expect(1, 2)
    publish(upstream, (3, ""), (1, ""))
    wait_for(lambda: upstream.arrived == 1, "the other one")
    with pytest.raises(RuntimeError, match="reading 3 has arrived and was not sent"):
        upstream.check()


def test_what_the_broker_repeats_to_the_counter_came_once(upstream):
    upstream.expect(1, 3)

    class Message:
        topic, payload, dup = "x", json.dumps([(1, ""), (2, "")]).encode(), False

    upstream._count(None, None, Message)
    Message.dup = True
    upstream._count(None, None, Message)
    assert (upstream.arrived, upstream.repeated) == (2, 0)
    Message.payload = json.dumps([(2, ""), (3, "")]).encode()
    upstream._count(None, None, Message)  # that was lost on the way before
    assert (upstream.arrived, upstream.repeated) == (3, 1)


# -- trials of what is always there ----------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        (Ours("ours_mqtt"), Sensors),
        (Ours("ours_mqtt_each"), Sensors),
        (Ours("ours_serial"), Board),
        (naive.polling(), Sensors),
        (naive.tutorial(), Lines),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_all_that_is_sent_is_stored_and_forwarded(trial, peer, source):
    found = throughput(trial(peer, source), COUNT)
    assert (found.count, found.arrived, found.unstored) == (COUNT, COUNT, 0)
    assert found.cpu_s > 0 and found.peak_mb > 5 and found.written_bytes > 0


@pytest.mark.parametrize(
    ("name", "source"),
    [("ours_mqtt", Sensors), ("ours_mqtt_each", Sensors), ("ours_serial", Board)],
)
def test_ours_loses_and_doubles_nothing(trial, name, source):
    fate = killed(trial(Ours(name), source), COUNT, per_s=200, at_s=0.7, away_s=0.2)
    assert (fate.count, fate.lost, fate.doubled) == (COUNT, 0, 0)
    fate = without_upstream(trial(Ours(name), source), COUNT, per_s=200, at_s=0.3, away_s=1)
    assert (fate.count, fate.lost, fate.doubled) == (COUNT, 0, 0)


def test_what_a_board_has_no_room_for_is_lost(trial):
    made = trial(Ours("ours_serial"), lambda folder, _: Board(folder, room=640))
    made.warm_up()
    made.expect(2000)
    with made.held():
        made.send(2000)
    made.until_arrived(2000, 1)
    assert 600 <= made.upstream.arrived <= 656


def test_a_peer_that_ends_by_itself_says_so(trial):
    made = trial(naive.Naive("gone", "no_such_script.py", "x.db"), Sensors)
    with pytest.raises(RuntimeError, match=r"gone has ended.*No such file"):
        made.warm_up()


def test_a_cost_counts_what_children_take():
    burn = "x = sum(range(30_000_000)); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        alone_mb = Cost.of(os.getpid()).peak_mb
        wait_for(lambda: Cost.of(process.pid).cpu_s > 0.05, "the child's time")
        assert 0 < Cost.of(process.pid).peak_mb < alone_mb + 100
    finally:
        process.communicate(b"\n", timeout=30)
    with pytest.raises(RuntimeError, match="has ended"):
        Cost.of(process.pid)


# -- figures -------------------------------------------------------------------------


def rounds(cpu_s, lost=0):
    runs = [Throughput(1000, 1000, 0, 900.0, cpu_s * n, 40.0, 2000) for n in (1, 2)]
    fates = [Fate(4000, lost, 1, 16, 30.0), Fate(4000, 0, 0, 0, 30.0)]
    return Rounds(runs, fates, fates)


def test_ratios_are_of_the_same_round():
    found = comparison.figures({"ours_mqtt": rounds(0.1), "tb": rounds(0.3, lost=7)})
    values = {one.name: one.values for one in found}
    assert values["peer.ours_mqtt.readings_per_cpu_s"] == [10_000, 5_000]
    assert values["peer.ours_mqtt.cpu_over_tb"] == pytest.approx([3, 3])
    assert values["peer.ours_mqtt.rss_over_tb"] == [1, 1]
    assert values["peer.ours_mqtt.rss_live_mb"] == [30, 30]
    assert values["peer.tb.lost_kill"] == [7, 0]
    assert values["peer.tb.doubled"] == [2, 0]
    assert values["peer.tb.disk_bytes_per_reading"] == [2, 2]
    assert values["peer.tb.cpu_s_per_1000"] == pytest.approx([0.3, 0.6])
    assert "peer.tb.cpu_over_ours_mqtt" not in values


def test_a_reading_is_known_by_what_ours_promises():
    item = {"value": 0.0017, "metadata": {"device": "d", "boot": "b", "seq": 3, "quality": "good"}}
    batch = json.dumps({"batch_id": "k", "items": [item, item]}).encode()
    ours = Ours("ours_mqtt")
    assert ours.numbers("pyvorin/x/batch", batch) == [17, 17]
    assert ours.identities("pyvorin/x/batch", batch) == ["d/b/3", "d/b/3"]
    assert ours.numbers("pyvorin/x/d/s1", json.dumps(item).encode()) == [17]
    assert ours.numbers("pyvorin/x/status", b"online") == []


def test_every_figure_of_a_peer_has_a_name_in_the_registry():
    assert set(comparison.names()) <= set(registry.FIGURES)
    assert {"peer.ours_serial.cpu_over_nodered", "peer.naive.lost_kill"} <= set(registry.FIGURES)


def test_a_peer_that_fails_is_left_out():
    find("mosquitto")

    def broken(folder, room):
        raise RuntimeError("no broker today")

    found = comparison.compare([Entry(naive.polling(), broken, 10)], 2)
    assert found["naive"].problem == "naive: no broker today"
    assert found["naive"].throughput == []


def test_kills_fall_into_the_middle_of_what_is_sent():
    times = [comparison.kill_at_s(number) for number in range(comparison.ROUNDS)]
    whole_s = comparison.KILL_COUNT / comparison.KILL_PER_S
    assert times == sorted(set(times))
    assert 0.25 * whole_s < times[0] and times[-1] < 0.75 * whole_s
