"""What the host's end of a link costs, in units of what it can't do without.

    path   bytes as a port gives them -> HostSession.receive -> Batch events -> iter_unpack
    bare   one binascii.crc32 and one iter_unpack a frame, of messages that lie ready

Both go over the same readings in turn (A B A B ...) in one process. The host
acknowledges as it goes, as an agent does. A fast port gives what has queued
while the host was busy, up to 4 kB at once, a slow one a few bytes each time: the figure
is of CHUNK_SIZE, the profile has the others.
"""

import gc
import struct
import time
from binascii import crc32

from pyv_edge_core import message
from pyv_edge_core.frame import FrameDecoder, encode
from pyv_edge_core.host_event import Batch
from pyv_edge_core.record_ring import BLOCK_RECORDS, RECORD_FORMAT, RECORD_SIZE, RecordRing

from .figure import Measured
from .link_pair import BOOT, LinkPair, push
from .link_readings import START_MS, take

REPEATS = 25
FRAMES = 2000
CHUNK_SIZE = 1024
_OTHER_CHUNK_SIZES = (64, 255, 4096)  # a USB packet, a board's frame or two, a full terminal
_BARE_ROUNDS = 4  # so that either half of a pair takes about as long, 16 ms here
_COMMIT_EVERY = 32  # frames: 500 readings, a full commit of the agent


class Wire:
    """The same frames in every form that is measured."""

    def __init__(self, frame_count: int, seed: int = 1) -> None:
        ring = RecordRing(frame_count * BLOCK_RECORDS)
        for taken in take(frame_count * BLOCK_RECORDS, seed):
            push(ring, taken)
        self.messages: list[bytes] = []
        self.bare: list[tuple[bytes, bytes]] = []  # (message, its records)
        for first_seq in range(0, ring.next_seq, BLOCK_RECORDS):
            _, base_s, base_ms, records = ring.read(first_seq, BLOCK_RECORDS)
            packed = message.pack_data(BOOT & 0xFFFF, 0, first_seq, base_s, base_ms, records)
            self.messages.append(packed)
            self.bare.append((packed, records))
        self.stream = b"".join(map(encode, self.messages))

    def chunks(self, size: int) -> list[bytes]:
        """Return the stream in pieces of `size` bytes."""
        return [self.stream[at : at + size] for at in range(0, len(self.stream), size)]


def _elapsed_us(start_ns: int) -> float:
    return (time.perf_counter_ns() - start_ns) / 1000


def time_path(chunks: list[bytes], frame_count: int) -> float:
    """Return the microseconds from the bytes to all readings. Raises RuntimeError if any lack."""
    pair = LinkPair(BLOCK_RECORDS, START_MS)
    host, now_ms = pair.host, pair.now_ms
    frames = 0
    gc.collect()
    start_ns = time.perf_counter_ns()
    for chunk in chunks:
        for event in host.receive(chunk, now_ms):
            if not isinstance(event, Batch):
                continue
            for _ in struct.iter_unpack(RECORD_FORMAT, event.records):
                pass
            frames += 1
            if frames % _COMMIT_EVERY == 0:
                host.committed(BOOT, event.stream, event.first_seq + BLOCK_RECORDS)
    us = _elapsed_us(start_ns)
    if frames != frame_count:
        raise RuntimeError(f"{frames} of {frame_count} frames have arrived")
    return us


def time_bare(pairs: list[tuple[bytes, bytes]]) -> float:
    """Return the microseconds of one CRC and one unpacking per frame."""
    gc.collect()
    start_ns = time.perf_counter_ns()
    for _ in range(_BARE_ROUNDS):
        for packed, records in pairs:
            crc32(packed)
            for _ in struct.iter_unpack(RECORD_FORMAT, records):
                pass
    return _elapsed_us(start_ns) / _BARE_ROUNDS


def _time_decoder(chunks: list[bytes]) -> float:
    decoder = FrameDecoder()
    gc.collect()
    start_ns = time.perf_counter_ns()
    for chunk in chunks:
        decoder.feed(chunk)
    return _elapsed_us(start_ns)


def _time_parse(messages: list[bytes]) -> float:
    gc.collect()
    start_ns = time.perf_counter_ns()
    for packed in messages:
        message.parse(packed)
    return _elapsed_us(start_ns)


def _time_unpack(pairs: list[tuple[bytes, bytes]]) -> float:
    gc.collect()
    start_ns = time.perf_counter_ns()
    for _, records in pairs:
        for _ in struct.iter_unpack(RECORD_FORMAT, records):
            pass
    return _elapsed_us(start_ns)


def measure() -> list[Measured]:
    """Measure the ratio, and what each part takes of a frame of 16 readings."""
    return measured(Wire(FRAMES), REPEATS)


def measured(wire: Wire, repeats: int) -> list[Measured]:
    """Return the ratio and the profile over `wire`."""
    frame_count = len(wire.messages)
    assert all(len(records) == BLOCK_RECORDS * RECORD_SIZE for _, records in wire.bare)
    chunks = wire.chunks(CHUNK_SIZE)
    others = {size: wire.chunks(size) for size in _OTHER_CHUNK_SIZES}
    us: dict[str, list[float]] = {}

    def note(part: str, total_us: float) -> None:
        us.setdefault(part, []).append(total_us / frame_count)

    for _ in range(repeats):
        note("path", time_path(chunks, frame_count))
        note("bare", time_bare(wire.bare))
        note("decoder", _time_decoder(chunks))
        note("parse", _time_parse(wire.messages))
        note("unpack", _time_unpack(wire.bare))
        for size, pieces in others.items():
            note(f"path_in_chunks_of_{size}", time_path(pieces, frame_count))
    ratios = [bare / path for bare, path in zip(us["bare"], us["path"], strict=True)]
    profile = [Measured(f"link.decode_us.{part}", "us", values) for part, values in us.items()]
    return [Measured("link.decode_ratio", "ratio", ratios), *profile]
