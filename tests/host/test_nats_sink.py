"""NATSSink against real servers: whatever happens on the way, the stream has each reading once."""

import asyncio
import json
import socket
import threading

import pytest
from host.deliveries import ITEMS, in_a_thread, reading, readings
from host.fakes import FakeClock
from host.processes import nats_cluster, nats_server
from host.waiting import wait_for
from pyv_edge_agent.sinks.delivery import FAILED, TOO_LARGE, UNAUTHORISED
from pyv_edge_agent.sinks.nats import NATSOptions, NATSSink, _Doubt


@pytest.fixture
def server(tmp_path):
    made = nats_server(tmp_path / "nats").start()
    yield made
    made.stop()


@pytest.fixture
def sinks():
    made = []

    def make(*ports, clock=None, **options):
        servers = tuple(f"nats://127.0.0.1:{port}" for port in ports)
        options = {"servers": servers, "create_stream": True, "timeout_seconds": 3.0, **options}
        made.append(NATSSink(NATSOptions(**options), clock))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def ask(ports, work, **options):
    """Run `work(js)` on a connection of the test's own."""

    async def run():
        import nats

        servers = [f"nats://127.0.0.1:{port}" for port in ports]
        connection = await nats.connect(servers, connect_timeout=10, **options)
        try:
            return await work(connection.jetstream(timeout=10))
        finally:
            await connection.close()

    return asyncio.run(run())


def contents(*ports):
    """Return (subject, id, payload) of all messages of the stream, in order."""

    async def work(js):
        subscription = await js.subscribe("pyvorin.>", ordered_consumer=True)
        found = []
        told = await subscription.consumer_info()
        for _ in range(told.num_pending + told.delivered.consumer_seq):
            message = await subscription.next_msg(timeout=20)
            one = (message.headers or {}).get("Nats-Msg-Id")
            found.append((message.subject, one, json.loads(message.data)))
        return found

    return ask(ports, work)


def seqs(*ports):
    return [one["metadata"]["seq"] for _, _, one in contents(*ports)]


def test_readings_arrive_as_they_are_each_under_its_id(server, sinks):
    sent = [*readings(0, 400), reading(400, None), *ITEMS]
    assert sinks(server.port).deliver("k", sent).is_accepted
    found = contents(server.port)
    assert [payload for _, _, payload in found] == sent
    assert found[3][:2] == ("pyvorin.board-1.temp", "board-1/0000abcd/3")
    assert found[-1][:2] == ("pyvorin.items", "s-4-5.000")


def test_batch_that_is_sent_again_is_there_once(server, sinks):
    sink = sinks(server.port)
    for _ in range(3):
        assert sink.deliver("k", readings(0, 50)).is_accepted
    assert sinks(server.port).deliver("k", readings(0, 60)).is_accepted
    assert seqs(server.port) == list(range(60))


def test_server_that_is_killed_and_started_again(server, sinks):
    sink = sinks(server.port)
    assert sink.deliver("a", readings(0, 50)).is_accepted
    with in_a_thread(lambda: sink.deliver("b", readings(50, 2000))) as found:
        server.kill()
    server.start()
    if not found[0].is_accepted:
        assert found[0].outcome == FAILED
        wait_for(lambda: sink.deliver("b", readings(50, 2000)).is_accepted, "a delivery", 60)
    assert sorted(seqs(server.port)) == list(range(2050))


def leader(ports):
    async def work(js):
        info = await js.stream_info("PYVORIN")
        return info.cluster.leader if info.cluster else None

    return answer(lambda: ask(ports, work))


def answer(question):
    """Return what a cluster answers, None while it can't."""
    from nats import errors

    try:
        return question()
    except (errors.Error, OSError):
        return None


def test_cluster_whose_leader_is_killed_in_a_batch_has_each_reading_once(tmp_path, sinks):
    servers = nats_cluster(tmp_path)
    ports = [server.port for server in servers]
    for server in servers:
        server.start()
    try:
        sink = sinks(*ports, replicas=3)
        wait_for(lambda: sink.deliver("first", readings(0, 10)).is_accepted, "the cluster", 60)
        for turn in range(2):
            name = wait_for(lambda: leader(ports), "a leader", 60)
            batch = readings(10 + turn * 2000, 2000)
            begun = threading.Event()

            def deliver(batch=batch, turn=turn, begun=begun):
                begun.set()
                return sink.deliver(f"batch {turn}", batch)

            with in_a_thread(deliver) as found:
                assert begun.wait(10)
                victim = servers[int(name[1:])]
                victim.kill()
            if not found[0].is_accepted:
                assert found[0].outcome == FAILED
                wait_for(lambda: deliver().is_accepted, "a delivery", 60)
            victim.start()
            # Whoever answers may be the one that was away, and not have it all yet.
            expected = list(range(10 + (turn + 1) * 2000))
            wait_for(
                lambda expected=expected: sorted(answer(lambda: seqs(*ports)) or []) == expected,
                "each reading once",
                60,
            )
    finally:
        for server in servers:
            server.stop()


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same process", "next process"])
def test_batch_in_doubt_for_longer_than_the_window_is_there_once(server, sinks, is_restarted):
    clock = FakeClock()
    window = {"duplicate_window_seconds": 1.0}
    sink = sinks(server.port, clock=clock, **window)
    assert sink.deliver("a", readings(0, 10)).is_accepted
    batch = readings(10, 20)
    # It was tried, and half of it arrived; then the line was cut.
    sink._doubts["b"] = _Doubt(10, clock.monotonic_ms())
    other = sinks(server.port, clock=clock, **window)
    assert other.deliver("half", batch[:10]).is_accepted
    wait_for(lambda: _forgets(server.port), "the end of the duplicate window", 30)
    clock.advance(10_000)
    again = sinks(server.port, clock=clock, **window) if is_restarted else sink
    assert again.deliver("b", batch).is_accepted
    assert seqs(server.port) == list(range(30))
    assert again.skipped_total == 10


def _forgets(port):
    """Return whether the stream takes an id again that it took before; leave no trace."""

    async def known(js):
        ack = await js.publish(
            "pyvorin.board-1.temp",
            json.dumps(reading(19)).encode(),
            headers={"Nats-Msg-Id": "board-1/0000abcd/19"},
            stream="PYVORIN",
        )
        if not ack.duplicate:
            await js.delete_msg("PYVORIN", ack.seq)
        return not ack.duplicate

    return ask([port], known)


def test_server_that_is_not_there(server, sinks):
    server.stop()
    delivery = sinks(server.port).deliver("k", readings(0, 1))
    assert delivery.outcome == FAILED


def test_server_that_says_nothing(sinks):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sinks(silent.getsockname()[1], timeout_seconds=0.3)
        assert sink.deliver("k", readings(0, 1)).outcome == FAILED


def test_delivery_under_way_ends_when_the_agent_stops(sinks):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sinks(silent.getsockname()[1], timeout_seconds=60.0)
        with in_a_thread(lambda: sink.deliver("k", readings(0, 1))) as found:
            silent.accept()
            sink.wake()
        assert found[0].outcome == FAILED
        assert sink.deliver("k", readings(0, 1)).problem == "the agent stops"
    sink.close()
    assert not [one for one in threading.enumerate() if one.name == "edge-nats"]


def test_stream_that_is_missing_is_named(server, sinks):
    delivery = sinks(server.port, create_stream=False).deliver("k", readings(0, 1))
    assert delivery.outcome == FAILED
    assert "no stream PYVORIN for pyvorin.>; make it, or set create_stream" in delivery.problem


def test_stream_that_is_there_is_not_changed(server, sinks):
    async def make(js):
        await js.add_stream(name="PYVORIN", subjects=["pyvorin.>"], max_msgs=1000)

    async def look(js):
        return (await js.stream_info("PYVORIN")).config.max_msgs

    ask([server.port], make)
    assert sinks(server.port).deliver("k", readings(0, 1)).is_accepted
    assert ask([server.port], look) == 1000


def test_wrong_password_is_the_operators_business_and_no_secret_is_told(tmp_path, sinks, caplog):
    server = nats_server(tmp_path / "n", None, "--user", "me", "--pass", "right").start()
    try:
        sink = sinks(server.port, user="me", password="hunter2")
        delivery = sink.deliver("k", readings(0, 1))
        assert delivery.outcome == UNAUTHORISED
        assert "hunter2" not in delivery.problem + caplog.text + sink.shown
        assert (
            sinks(server.port, user="me", password="right")
            .deliver("k", readings(0, 1))
            .is_accepted
        )
    finally:
        server.stop()


def test_secrets_in_a_url_are_not_shown(sinks):
    sink = NATSSink(NATSOptions(servers=("nats://me:hunter2@127.0.0.1:4222",)))
    assert sink.shown == "nats://127.0.0.1:4222/PYVORIN"


def test_message_that_is_too_large(server, sinks):
    large = {"type": "log", "text": "x" * 2_000_000, "metadata": {"item_id": "s-9"}}
    assert sinks(server.port).deliver("k", [large]).outcome == TOO_LARGE


def test_stream_without_room_throttles(server, sinks):
    async def make(js):
        from nats.js import api

        config = api.StreamConfig(
            name="PYVORIN", subjects=["pyvorin.>"], max_msgs=5, discard=api.DiscardPolicy.NEW
        )
        await js.add_stream(config)

    ask([server.port], make)
    delivery = sinks(server.port).deliver("k", readings(0, 10))
    assert delivery.outcome == "throttled"
    assert "maximum messages exceeded" in delivery.problem


def test_names_can_not_make_other_subjects(server, sinks):
    names = ["a.b", "a%2Eb", "*", ">", "x y", "ä"]
    sent = [reading(seq, device=name) for seq, name in enumerate(names)]
    assert sinks(server.port).deliver("k", sent).is_accepted
    subjects = {subject for subject, _, _ in contents(server.port)}
    assert len(subjects) == len(names)
    assert all(subject.count(".") == 2 for subject in subjects)


def test_probe_makes_no_stream_and_tells_what_is_wrong(tmp_path, server, sinks):
    assert sinks(server.port).probe().is_accepted
    found = sinks(server.port, create_stream=False).probe()  # so the first has made none
    assert (found.outcome, "no stream PYVORIN" in found.problem) == (FAILED, True)
    assert sinks(server.port).deliver("k", readings(0, 1)).is_accepted
    assert sinks(server.port, create_stream=False).probe().is_accepted
    assert len(contents(server.port)) == 1
    locked = nats_server(tmp_path / "n", None, "--user", "me", "--pass", "right").start()
    try:
        assert sinks(locked.port, user="me", password="wrong").probe().outcome == UNAUTHORISED
    finally:
        locked.stop()
