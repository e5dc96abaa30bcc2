"""Replays: another host gets what the first one got, whatever the line did to it."""

import random

import pytest
from bridge_bytes import CHANNELS, KEY, STEP_MS, Talk
from hypothesis import given, settings
from hypothesis import strategies as st
from pyv_edge_core import channel_table, message
from pyv_edge_core.challenge import Challenge
from pyv_edge_core.frame import encode
from pyv_edge_core.host_event import Batch, Greeting, Loss, Report, TimeExchange
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.pacing import Pacing
from pyv_edge_core.record_ring import RECORD_SIZE
from pyv_edge_core.requester import Answer, Requester
from pyv_edge_tools.bridge import replayed_board
from pyv_edge_tools.bridge.chunk import TO_HOST, Chunk
from pyv_edge_tools.bridge.recorded_run import Data, read_run
from pyv_edge_tools.bridge.replayed_board import ReplayedBoard
from pyv_edge_tools.bridge.tap import Tap


class Host:
    """An agent's end, fresh: it takes everything, and commits at once."""

    def __init__(self, key=b"", resume=0):
        challenge = Challenge(key, random.Random(3).getrandbits) if key else None
        pacing = Pacing(5, challenge.seal if key else None)
        self.requester = Requester(40)
        self.session = HostSession(pacing=pacing, challenge=challenge, requester=self.requester)
        self.readings = {0: {}, 1: {}}  # by stream and number: (channel, flags, value)
        self.times_ms = {}  # of telemetry, by number: uptime
        self.heard_ms = {}  # and when it came
        self.lost = []
        self.exchanges = []
        self.reports = []
        self.answers = []
        self.greetings = []
        self._resume = resume

    def take(self, data, now_ms):
        self._now_ms = now_ms
        for event in self.session.receive(data, now_ms):
            if isinstance(event, Greeting):
                self.greetings.append(event)
                assert self.session.welcome(event.hello.boot, self._resume, 0)
            elif isinstance(event, Batch):
                self._store(event)
            elif isinstance(event, Loss):
                self.lost.append((event.stream, event.first_seq, event.last_seq))
                assert self.session.committed(event.boot, event.stream, event.last_seq + 1)
            elif isinstance(event, TimeExchange):
                self.exchanges.append(event)
            elif isinstance(event, Report):
                self.reports.append(event.message)
            elif isinstance(event, Answer):
                self.answers.append(event)

    def _store(self, batch):
        count = len(batch.records) // RECORD_SIZE
        for index in range(count):
            slot = batch.records[index * RECORD_SIZE : (index + 1) * RECORD_SIZE]
            seq = batch.first_seq + index
            self.readings[batch.stream][seq] = (slot[0], slot[1] & 3, slot[4:])
            span_ms = (slot[1] >> 2) << 16 | slot[3] << 8 | slot[2]
            at_ms = batch.base_s * 1000 + batch.base_ms + span_ms
            if batch.stream == 0:
                self.times_ms[seq] = at_ms
                self.heard_ms[seq] = self._now_ms
        assert self.session.committed(batch.boot, batch.stream, batch.first_seq + count)


def replayed(chunks, *, speed=0.0, key=b"", host=None, steps=6000):
    """Play all boots of a recording to `host`; return it and the boards."""
    host = host or Host(key)
    boards = []
    now_ms = 1000
    for boot in read_run(chunks, key).boots:
        board = ReplayedBoard(boot, speed, key, now_ms)
        boards.append(board)
        for _ in range(steps):
            while said := board.transmit(now_ms):
                host.take(said, now_ms)
            while said := host.session.transmit(now_ms):
                board.receive(said, now_ms)
            now_ms += STEP_MS
            if board.is_done or board.problem:
                break
        assert board.is_done or board.problem
    return host, boards


def sampled(talk, stream=0):
    """Return what the first host was handed, as `Host.readings` has it."""
    first = Host()
    for batch in talk.taken[stream]:
        count = len(batch[1]) // RECORD_SIZE
        for index in range(count):
            slot = batch[1][index * RECORD_SIZE : (index + 1) * RECORD_SIZE]
            first.readings[stream][batch[0] + index] = (slot[0], slot[1] & 3, slot[4:])
    return first.readings[stream]


@pytest.mark.parametrize("key", [b"", KEY])
@pytest.mark.parametrize("speed", [0.0, 1.0, 10.0, 0.5])
def test_same_readings_at_any_speed(speed, key):
    talk = Talk(key=key).run(200)
    host, (board,) = replayed(talk.chunks, speed=speed, key=key)
    assert host.readings[0] == sampled(talk)
    assert list(host.readings[0]) == list(range(200))
    assert (host.lost, board.missing_total, board.readings_total) == ([], 0, 200)
    (greeting,) = host.greetings
    assert greeting.hello.device == "north"
    assert channel_table.crc(greeting.channels) == channel_table.crc(CHANNELS)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_damaged_line_replays_to_the_same_readings(seed):
    rng = random.Random(seed)

    def damage(said):
        if rng.random() < 0.25:
            place = rng.randrange(1, len(said) - 1)
            return said[:place] + bytes([said[place] ^ 1 << rng.randrange(8)]) + said[place + 1 :]
        return said if rng.random() > 0.1 else b""

    talk = Talk(damage=damage)
    talk.run(300, steps=20_000)
    for _ in range(400):  # what follows a damaged HELLO may come late
        talk.step()
    host, (board,) = replayed(talk.chunks)
    assert host.readings[0] == sampled(talk)
    assert board.missing_total == 0


@pytest.mark.parametrize("speed", [0.0, 1.0, 10.0])
def test_no_reading_lies_in_the_future_and_clocks_never_part(speed):
    talk = Talk()
    for _ in range(30):
        talk.step()
    talk.now_ms += 60_000  # it has nothing to say for so long, which isn't waited for again
    for _ in range(100):
        talk.sample(2)
        talk.run(0)
        for _ in range(5):
            talk.step()
    host, _ = replayed(talk.chunks, speed=speed)
    assert len(host.readings[0]) == 200
    # Uptime goes with the host's clock, so what it is ahead stays the same.
    ahead = {one.received_ms - (one.uptime_s * 1000 + one.uptime_ms) for one in host.exchanges}
    assert len(host.exchanges) >= 1
    assert max(ahead) - min(ahead) <= STEP_MS
    for seq, at_ms in host.times_ms.items():
        assert host.heard_ms[seq] - max(ahead) >= at_ms - STEP_MS
    first = dict(enumerate(sorted(host.times_ms.values())))
    assert first == host.times_ms  # and they are as far apart as they were
    assert host.times_ms[199] - host.times_ms[0] >= 100 * 5 * STEP_MS


def test_alerts_are_replayed_too():
    talk = Talk().run(20)
    for value in (3000, 3100):
        talk.alert(value)
        talk.sample(10)
        talk.run(0)
    host, _ = replayed(talk.chunks)
    assert host.readings[1] == sampled(talk, 1)
    assert [slot[1] for slot in host.readings[1].values()] == [channel_table.EVENT_FIRED] * 2
    assert len(host.readings[0]) == 40


def test_what_was_forged_is_not_replayed():
    talk = Talk(key=KEY).run(40)
    tap = Tap()
    data = next(
        event for chunk in talk.chunks for event in tap.feed(chunk) if event.name == "DATA"
    )
    forged = data.wire[:-20] + bytes([data.wire[-20] ^ 1]) + data.wire[-19:]
    chunks = [*talk.chunks, Chunk(talk.chunks[-1].at_ns, TO_HOST, encode(forged))]
    assert sum(isinstance(item, Data) for item in read_run(chunks, KEY).boots[0].items) == len(
        talk.taken[0]
    )


def test_several_boots_are_played_in_order():
    chunks = []
    for boot in (0x11110001, 0x22220002):
        talk = Talk(boot=boot).run(40)
        chunks += [chunk._replace(at_ns=chunk.at_ns + len(chunks)) for chunk in talk.chunks]
    host, boards = replayed(chunks)
    assert [board.readings_total for board in boards] == [40, 40]
    assert [one.hello.boot for one in host.greetings] == [0x11110001, 0x22220002]


def test_recording_that_began_late_and_lacks_frames_says_so():
    talk = Talk().run(30)
    talk.sample(170)
    talk.run(0)
    data = [
        place
        for place, chunk in enumerate(talk.chunks)
        if chunk.direction == TO_HOST and chunk.data[1:3] == b"\x01\x04"
    ]
    kept = [chunk for place, chunk in enumerate(talk.chunks) if place not in (data[0], data[4])]
    (boot,) = read_run(kept).boots
    numbers = {
        seq
        for item in boot.items
        if isinstance(item, Data)
        for seq in range(item.first_seq, item.end_seq)
    }
    missing = sorted(set(range(200)) - numbers)
    assert missing[0] == 0
    host, (board,) = replayed(kept)
    assert set(host.readings[0]) == numbers
    lost = [seq for _, first, last in host.lost for seq in range(first, last + 1)]
    assert lost == missing
    assert board.missing_total == len([seq for seq in missing if seq > min(numbers)])


def test_reports_and_text_are_played_and_requests_refused():
    talk = Talk().run(20)
    log = encode(message.pack(message.LOG, talk.board.tag, 40, "it is warm"))
    at_ns = talk.chunks[-1].at_ns
    chunks = [*talk.chunks, Chunk(at_ns, TO_HOST, log), Chunk(at_ns, TO_HOST, b"Traceback\n")]
    host = Host()
    host.requester.command(1, 0, 0, 10**9)
    host, (board,) = replayed(chunks, host=host)
    assert [report.text for report in host.reports] == ["it is warm"]
    assert host.session.decoder.take_console() == b"Traceback\n"
    assert board.refused_requests_total >= 1
    (answer,) = host.answers
    assert answer.code == message.RESULT_FAILED


def test_host_that_has_the_boot_already_is_noticed():
    talk = Talk().run(40)
    _, (board,) = replayed(talk.chunks, host=Host(resume=30))
    assert "has this boot up to number 30 already" in board.problem


def test_waiting_readings_are_bounded():
    talk = Talk()
    for _ in range(30):
        talk.step()
    for _ in range(40):
        talk.sample(200)
        talk.run(0, steps=5000)
    (boot,) = read_run(talk.chunks).boots
    board = ReplayedBoard(boot, 0.0, b"", 0)
    host = Host()
    host._store = lambda batch: None  # nothing is ever committed
    for now_ms in range(0, 3000, STEP_MS):
        while said := board.transmit(now_ms):
            host.take(said, now_ms)
        while said := host.session.transmit(now_ms):
            board.receive(said, now_ms)
    assert board.readings_total <= replayed_board.WAITING_MAX < 8000
    assert not board.is_done


def test_recording_without_a_greeting_has_no_boots():
    talk = Talk().run(40)
    late = [
        chunk
        for chunk in talk.chunks
        if chunk.direction != TO_HOST or chunk.data[1:3] not in (b"\x01\x01", b"\x01\x02")
    ]
    run = read_run(late)
    assert run.boots == []
    assert run.orphans_total > 0
