"""Captures: what was written is read, as far as it goes, whatever was cut or damaged."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyv_edge_tools.bridge import capture
from pyv_edge_tools.bridge.chunk import TO_BOARD, TO_HOST, Chunk, Note
from pyv_edge_tools.bridge.errors import BridgeError

SEEN = [
    Chunk(5, TO_HOST, b"\x7e\x01"),
    Note(5, "port ä is open"),
    Chunk(9_000_000_000, TO_BOARD, bytes(range(256))),
    Chunk(9_000_000_001, TO_HOST, b"end"),
]
UTC_NS = 1_780_000_000_000_000_000


def written(seen=SEEN, size_max=capture.SIZE_MAX):
    file = io.BytesIO()
    writer = capture.Writer(file, 0, UTC_NS, size_max)
    for one in seen:
        writer.take(one)
    return file.getvalue(), writer


def read(tmp_path, content):
    path = tmp_path / "a.pyvcap"
    path.write_bytes(content)
    reader = capture.Reader(path)
    found = list(reader.read())
    reader.close()
    return found, reader


def test_round_trip(tmp_path):
    found, reader = read(tmp_path, written()[0])
    assert found == SEEN
    assert (reader.begun_utc_ns, reader.problem, reader.is_damaged) == (UTC_NS, "", False)


def test_cut_anywhere_gives_all_before(tmp_path):
    content, _ = written()
    for size in range(16, len(content)):
        found, reader = read(tmp_path, content[:size])
        assert found == SEEN[: len(found)]
        assert not reader.is_damaged
        is_whole = any(len(written(SEEN[:count])[0]) == size for count in range(len(SEEN)))
        assert bool(reader.problem) != is_whole
        assert ("is cut" in reader.problem) != is_whole


@given(place=st.integers(16, 355), bit=st.integers(0, 7))
def test_damage_is_told_and_what_is_before_is_read(tmp_path_factory, place, bit):
    content, _ = written()
    place = min(place, len(content) - 1)
    bad = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
    found, reader = read(tmp_path_factory.mktemp("capture"), bad)
    assert found == SEEN[: len(found)]
    assert len(found) < len(SEEN)
    assert "is cut" in reader.problem or "damaged at byte" in reader.problem


def test_full_file_ends_with_a_whole_record(tmp_path):
    content, writer = written(size_max=100)
    assert len(content) <= 100
    assert writer.is_full
    assert writer.left_out_bytes_total == 256 + 3
    found, reader = read(tmp_path, content)
    assert found == SEEN[:2]
    assert reader.problem == ""


def test_file_that_grows_is_followed(tmp_path):
    path = tmp_path / "a.pyvcap"
    content, _ = written()
    path.write_bytes(content[:66])
    reader = capture.Reader(path)
    found = list(reader.read())
    assert found == SEEN[:2]
    with path.open("ab") as file:
        for byte in content[66:]:
            file.write(bytes([byte]))
            file.flush()
            found += reader.read()
    assert found == SEEN
    assert reader.problem == ""
    reader.close()


def test_unknown_records_are_skipped_and_counted(tmp_path):
    content, _ = written(SEEN[:1])
    record = capture._HEAD.pack(77, 3, 6) + b"abc"
    content += record + capture._CRC.pack(capture.crc32(record)) + written(SEEN[3:])[0][16:]
    found, reader = read(tmp_path, content)
    assert found == [SEEN[0], SEEN[3]]
    assert reader.skipped_total == 1


def test_long_chunk_is_several_records(tmp_path):
    data = bytes(200_000)
    found, _ = read(tmp_path, written([Chunk(1, TO_HOST, data)])[0])
    assert b"".join(chunk.data for chunk in found) == data


def test_what_is_no_capture_is_refused_in_one_line(tmp_path):
    for content in (b"", b"PYVCAP1\n", b"PYVCAP2\n" + bytes(8), b"#!/bin/sh\nexit 0 # and more"):
        with pytest.raises(BridgeError, match="is no capture"):
            read(tmp_path, content)
    with pytest.raises(BridgeError, match="can't be read"):
        capture.Reader(tmp_path / "absent")
    path = tmp_path / "there"
    path.write_bytes(b"precious")
    with pytest.raises(BridgeError, match="exists"):
        capture.create(path, is_replaced=False)
    assert path.read_bytes() == b"precious"
    path.chmod(0o644)
    capture.create(path, is_replaced=True).close()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"", 0o600)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(BridgeError, match="is no file"):
            capture.create(other, is_replaced=True)


def test_header_with_a_time_that_can_not_be_is_refused(tmp_path):
    for begun in (2**63, 2**64 - 1):
        with pytest.raises(BridgeError, match="header is damaged"):
            read(tmp_path, capture.MAGIC + begun.to_bytes(8, "little") + written()[0][16:])


def test_remark_with_a_path_that_is_no_utf_8_is_kept(tmp_path):
    found, _ = read(tmp_path, written([Note(1, "port br\udcff is open")])[0])
    assert found == [Note(1, "port br\\udcff is open")]
