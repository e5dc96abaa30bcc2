"""What is counted of a line, and how long answers take."""

import json

from bridge_bytes import KEY, Talk
from pyv_edge_core import message
from pyv_edge_core.frame import encode
from pyv_edge_core.record_ring import RECORD_SIZE
from pyv_edge_tools.bridge import statistic
from pyv_edge_tools.bridge.chunk import TO_BOARD, TO_HOST, Chunk
from pyv_edge_tools.bridge.output import Watch, summary_lines
from pyv_edge_tools.bridge.statistic import RoundTrips, Stream


def watched(chunks, key=b""):
    watch = Watch(key, None)
    for chunk in chunks:
        watch.take(chunk)
    watch.end()
    return watch.statistic


def frame_at(at_ms, direction, *values):
    return Chunk(at_ms * 1_000_000, direction, encode(message.pack(*values)))


def data_at(at_ms, first_seq, count):
    payload = message.pack_data(3, 0, first_seq, 1, 0, bytes(RECORD_SIZE * count))
    return Chunk(at_ms * 1_000_000, TO_HOST, encode(payload))


def test_conversation_adds_up():
    talk = Talk().run(100)
    found = watched(talk.chunks)
    summary = found.summary()
    assert json.loads(json.dumps(summary)) == summary
    for direction in (TO_HOST, TO_BOARD):
        size = sum(len(chunk.data) for chunk in talk.chunks if chunk.direction == direction)
        assert found.bytes_total[direction] == size
        counted = [count for (side, _), count in found.message_bytes.items() if side == direction]
        assert sum(counted) == size  # every byte is a frame's
    telemetry = summary["streams"]["telemetry"]
    assert telemetry == {
        "readings_total": 100,
        "repeated_total": 0,
        "missing_total": 0,
        "gaps_total": 0,
    }
    assert summary["boots"] == [{"boot": "12345678", "device": "north"}]
    assert summary["time_ms"]["max"] >= 0
    assert not any(found.damage().values())
    assert any("time request to answer" in line for line in summary_lines(summary))


def test_round_trips_are_measured_where_the_bytes_pass():
    found = watched(
        [
            frame_at(100, TO_BOARD, message.TIME_REQUEST, 3, 7),
            data_at(110, 0, 4),
            data_at(115, 4, 4),
            frame_at(130, TO_HOST, message.TIME_RESPONSE, 3, 7, 1, 0),
            frame_at(160, TO_BOARD, message.ACK, 3, 0, 0, 4, 4),
            frame_at(170, TO_BOARD, message.ACK, 3, 0, 0, 8, 8),
            frame_at(180, TO_BOARD, message.ACK, 3, 1, 0, 8, 8),
            frame_at(190, TO_HOST, message.TIME_RESPONSE, 3, 8, 1, 0),
        ]
    )
    assert found.time_trips.percentiles_ms() == {"p50": 30, "p90": 30, "p99": 30, "max": 30}
    assert found.data_trips.percentiles_ms() == {"p50": 55, "p90": 55, "p99": 55, "max": 55}
    assert found.data_trips.answered_total == 2


def test_what_is_repeated_jumped_over_and_announced_is_told_apart():
    stream = Stream()
    stream.data(10, 5)
    stream.data(10, 7)
    stream.data(20, 2)
    stream.gap(22, 29)
    stream.gap(22, 29)
    stream.data(30, 1)
    assert (stream.readings_total, stream.repeated_total) == (10, 5)
    assert (stream.missing_total, stream.gaps_total) == (3, 8)


def test_questions_without_answers_are_bounded_and_counted():
    trips = RoundTrips()
    for token in range(statistic.OPEN_MAX + 5):
        trips.asked(token, 0)
    assert trips.given_up_total == 5
    trips.answered(0, 9)
    trips.answered(5, 9)
    assert trips.answered_total == 1
    for token in range(10, 10 + statistic.SAMPLES_MAX // 8):
        trips.answered(token, token)
    assert trips.percentiles_ms()["p50"] <= trips.percentiles_ms()["max"]


def test_question_that_is_asked_again_counts_from_the_first_time():
    found = watched(
        [
            data_at(100, 0, 4),
            data_at(150, 0, 4),
            frame_at(160, TO_BOARD, message.ACK, 3, 0, 0, 4, 4),
        ]
    )
    assert found.data_trips.percentiles_ms()["max"] == 60
    assert found.summary()["streams"]["telemetry"]["repeated_total"] == 4


def test_rate_is_of_the_last_seconds():
    found = watched([Chunk(second * 10**9, TO_HOST, b"x" * 100) for second in range(20)])
    assert found.rate(TO_HOST, 20 * 10**9) == 100
    assert found.rate(TO_BOARD, 20 * 10**9) == 0
    assert found.rate(TO_HOST, 60 * 10**9) == 0


def test_damage_and_seals_are_counted():
    framed = encode(message.pack(message.LOG, 3, 40, "x"))
    damaged = Chunk(0, TO_HOST, framed[:6] + b"\x00" + framed[7:] + b"\x00\x80\n~")
    strange = Chunk(0, TO_HOST, encode(b"\x01\x04\x00\x00short"))
    again = frame_at(0, TO_BOARD, message.ACK, 3, 0, message.ACK_RESEND, 4, 4)
    found = watched([damaged, strange, again])
    assert found.damage() == {
        "bad_fcs_total": 1,
        "oversize_total": 0,
        "noise_bytes_total": 3,
        "unreadable_total": 1,
        "resend_requests_total": 1,
    }
    summary = watched(Talk(key=KEY).run(40).chunks, KEY).summary()
    assert summary["seals"]["genuine"] == summary["sealed_total"]
    assert any("genuine" in line for line in summary_lines(summary))
