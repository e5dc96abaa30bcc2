"""The figures of the link: that they measure what they say. Times are for `make bench`."""

import json
import os
import pty
import struct
import tty
from itertools import pairwise

import pytest
from pyv_edge_bench import budgets, link_decode, link_latency, link_wire, senml
from pyv_edge_bench.link_readings import CHANNELS, INTERVAL_MS, START_MS, Taken, take
from pyv_edge_core import message
from pyv_edge_core.record_ring import BLOCK_RECORDS

READINGS = 3200


def test_readings_are_the_same_for_a_seed_and_like_a_sensors():
    readings = list(take(2000, seed=3))
    assert readings == list(take(2000, seed=3)) != list(take(2000, seed=4))
    assert [taken.uptime_ms for taken in readings[:2]] == [START_MS, START_MS + INTERVAL_MS]
    for index in range(len(CHANNELS)):
        values = [taken.value for taken in readings if taken.channel == index]
        assert len(values) == 500
        assert len(set(values)) > 10  # noise
        assert max(abs(b - a) for a, b in pairwise(values)) < 100  # drift


# -- decoding ------------------------------------------------------------------------


def test_decoding_is_measured_over_the_same_readings():
    wire = link_decode.Wire(20)
    assert sum(len(records) for _, records in wire.bare) == 20 * 16 * 8
    assert [packed for packed, _ in wire.bare] == wire.messages
    for size in (1, 64, 10_000):
        assert b"".join(wire.chunks(size)) == wire.stream
        assert link_decode.time_path(wire.chunks(size), 20) > 0
    assert link_decode.time_bare(wire.bare) > 0


def test_decoding_that_loses_a_frame_is_no_figure():
    wire = link_decode.Wire(3)
    stream = bytearray(wire.stream)
    stream[len(stream) // 2] ^= 0x01
    with pytest.raises(RuntimeError, match="1 of 3 frames"):
        link_decode.time_path([bytes(stream)], 3)


def test_decoding_gives_a_ratio_of_pairs_and_a_profile():
    found = link_decode.measured(link_decode.Wire(10), 3)
    by_name = {measured.name: measured.values for measured in found}
    assert found[0].name == "link.decode_ratio"
    assert all(len(values) == 3 for values in by_name.values())
    path, bare = by_name["link.decode_us.path"], by_name["link.decode_us.bare"]
    assert by_name["link.decode_ratio"] == [b / p for b, p in zip(bare, path, strict=True)]
    assert {"link.decode_us.decoder", "link.decode_us.parse"} < set(by_name)


# -- the wire ------------------------------------------------------------------------


def test_a_reading_on_the_wire_keeps_to_its_budget():
    found = {m.name: m.values for m in link_wire.measured(READINGS, 2)}
    (goal,) = [goal for name, goal in budgets.load().items() if "wire_bytes" in name]
    values = found["link.wire_bytes_per_reading"]
    unstuffed = (2 + 15 + 16 * 8 + 4) / 16  # flags, header, records, FCS
    assert all(unstuffed < value for value in values), values
    assert all(goal.is_met(value) for value in values), values
    beside = {name.split(".")[-1] for name in found if ".board_" in name or ".host_" in name}
    assert {"board_time_response", "board_vitals", "host_ack", "host_time_request"} <= beside
    parts = [values, *(found[f"link.wire_bytes.{name}"] for name in beside)]
    for total, *said in zip(found["link.wire_bytes.both_directions"], *parts, strict=True):
        assert abs(total - sum(said)) < 1e-9
    assert found["link.wire_bytes.senml_cbor"] > [2 * value for value in values]
    assert found["link.wire_bytes.senml_json_lines"] > [3 * value for value in values]


def test_all_that_is_said_is_counted():
    sent = link_wire.run(list(take(READINGS, seed=1)))
    kinds = {"board": set(), "host": set()}
    for sender, kind in sent:
        kinds[sender].add(kind)
    assert kinds["board"] >= {message.DATA, message.VITALS, message.TIME_RESPONSE}
    assert kinds["host"] >= {message.ACK, message.TIME_REQUEST}
    assert not kinds["board"] & kinds["host"]
    assert message.HELLO not in kinds["board"]  # said once a boot, not per reading


# -- SenML ---------------------------------------------------------------------------


def resolved(records):
    """Return (name, unit, UTC in s, value) of each record, as RFC 8428 section 4.6 says."""
    base, found = {}, []
    for record in records:
        base.update({key: record[key] for key in ("bn", "bu", "bt") if key in record})
        found.append((base["bn"], base["bu"], base["bt"] + record.get("t", 0), record["v"]))
    return found


def expected(readings):
    return sorted(
        (
            "station-1." + CHANNELS[taken.channel].name,
            CHANNELS[taken.channel].unit,
            1_767_225_600 + taken.uptime_ms / 1000,
            taken.value * 10.0 ** CHANNELS[taken.channel].exponent,
        )
        for taken in readings
    )


def rounded(entries):
    return sorted((name, unit, round(utc_s, 3), round(v, 3)) for name, unit, utc_s, v in entries)


def test_senml_in_json_holds_the_same_readings():
    readings = list(take(BLOCK_RECORDS, seed=2))
    line = senml.json_line(readings)
    assert line.endswith(b"}]\n")
    assert line.count(b"\n") == 1
    assert rounded(resolved(json.loads(line))) == rounded(expected(readings))


def parse_cbor(data, at=0):
    """Return (item, end) of the CBOR item at `at`: what RFC 8949 says of the kinds we write."""
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        code, size = {26: (">f", 4), 27: (">d", 8)}[low]
        return struct.unpack(code, data[at : at + size])[0], at + size
    if low >= 24:
        size = 1 << low - 24
        low, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major < 2:
        return (low, -1 - low)[major], at
    if major == 3:
        return data[at : at + low].decode(), at + low
    items = []
    for _ in range(low if major == 4 else 2 * low):
        item, at = parse_cbor(data, at)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2], strict=True))), at


def test_senml_in_cbor_holds_the_same_readings():
    readings = list(take(BLOCK_RECORDS, seed=2))
    encoded = senml.cbor(readings)
    records, end = parse_cbor(encoded)
    assert end == len(encoded)
    names = {-2: "bn", -3: "bt", -4: "bu", 2: "v", 6: "t"}
    named = [{names[label]: value for label, value in record.items()} for record in records]
    assert rounded(resolved(named)) == rounded(expected(readings))


def test_senml_in_cbor_byte_by_byte():
    assert senml.cbor([Taken(1000, 2, 101_325), Taken(1500, 2, -500)]).hex() == (
        "82"  # two records
        + ("a4" + "21" + "72" + b"station-1.pressure".hex())  # bn
        + ("23" + "62" + b"Pa".hex())  # bu
        + ("22" + "1a6955b901")  # bt: 1767225601
        + ("02" + "1a00018bcd")  # v
        + ("a2" + "06" + "fa3f000000" + "02" + "3901f3")  # t 0.5, v -500
    )


# -- latency -------------------------------------------------------------------------


def test_a_percentile_is_one_of_the_values():
    values = [float(value) for value in range(200, 0, -1)]
    assert link_latency.percentile(values, 99) == 198
    assert link_latency.percentile(values, 100) == 200
    assert link_latency.percentile([7.0], 99) == 7
    assert link_latency.percentile([1.0, 2.0], 1) == 1


def test_every_reading_is_held_until_a_real_agent_acknowledges_it():
    found = link_latency.latencies(50, 40)
    assert len(found) == 40
    assert min(found) > 0


def test_a_host_that_is_not_there_is_no_figure():
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        with pytest.raises(RuntimeError, match="no WELCOME within"):
            link_latency.Board(master).run(1, timeout_s=0.05)
    finally:
        os.close(master)
        os.close(slave)
