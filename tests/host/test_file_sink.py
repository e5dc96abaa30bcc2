"""FileSink: a line is whole, a batch is there once, whatever ends the process or the disk."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest
from host.deliveries import readings
from host.fakes import FakeClock
from host.processes import small_disk
from pyv_edge_agent.sinks.delivery import FAILED
from pyv_edge_agent.sinks.file import DROP_OLDEST, FileOptions, FileSink

DAY_MS = 86_400_000


@pytest.fixture
def make(tmp_path):
    clock = FakeClock()

    def build(**options):
        options.setdefault("folder", tmp_path / "out")
        return FileSink(FileOptions(**options), clock)

    build.clock = clock
    build.folder = tmp_path / "out"
    return build


def lines(folder):
    return [
        json.loads(line)
        for segment in sorted(folder.glob("*.ndjson"))
        for line in segment.read_bytes().splitlines()
    ]


def seqs(folder):
    return [line["metadata"]["seq"] for line in lines(folder) if "metadata" in line]


def test_batches_are_lines_and_closed(make):
    sink = make()
    sent = readings(0, 3)
    assert sink.deliver("k1", sent).is_accepted
    assert sink.deliver("k2", readings(3, 1)).is_accepted
    found = lines(make.folder)
    assert found[:3] == sent
    assert found[3] == {"batch_id": "k1", "count": 3}
    assert [one.name for one in make.folder.iterdir()] == ["20260528-000001.ndjson"]


def test_batch_that_is_sent_again_is_there_once(make):
    sink = make()
    for _ in range(2):
        assert sink.deliver("k1", readings(0, 3)).is_accepted
    assert make().deliver("k1", readings(0, 3)).is_accepted  # after a restart
    assert seqs(make.folder) == [0, 1, 2]


def test_what_is_not_closed_is_cut_off(make):
    assert make().deliver("k1", readings(0, 3)).is_accepted
    (segment,) = make.folder.iterdir()
    whole = segment.read_bytes()
    for cut in (whole + whole[:-1], whole + b'{"batch_id": "x"', whole + b"\xff\xfe\n"):
        segment.write_bytes(cut)
        assert make().deliver("k1", readings(0, 3)).is_accepted
        assert segment.read_bytes() == whole


def test_segments_end_by_size_and_by_day(make):
    sink = make(segment_mb=0.01)
    for number in range(12):
        assert sink.deliver(f"k{number}", readings(number * 10, 10)).is_accepted
    first_day = sorted(one.name for one in make.folder.iterdir())
    assert len(first_day) > 2
    assert all(one.stat().st_size <= 0.01 * 1_048_576 for one in make.folder.iterdir())
    make.clock.advance(DAY_MS)
    assert sink.deliver("next", readings(120, 1)).is_accepted
    assert (make.folder / "20260529-000001.ndjson").exists()
    make.clock.step(-30 * DAY_MS)  # a clock that is set back makes no older segment
    assert sink.deliver("back", readings(121, 1)).is_accepted
    assert seqs(make.folder) == list(range(122))


def test_batch_larger_than_a_segment_has_one_of_its_own(make):
    sink = make(segment_mb=0.01)
    assert sink.deliver("k", readings(0, 500)).is_accepted
    assert len(seqs(make.folder)) == 500


def test_full_folder_stops_or_drops_the_oldest(make, tmp_path):
    sink = make(segment_mb=0.01, total_mb=0.05)
    accepted = 0
    while sink.deliver(f"k{accepted}", readings(accepted * 10, 10)).is_accepted:
        accepted += 1
    delivery = sink.deliver("more", readings(0, 10))
    assert delivery.outcome == FAILED
    assert "holds total_mb = 0.05 already; take segments away or raise it" in delivery.problem
    min(make.folder.iterdir()).unlink()
    assert sink.deliver("more", readings(0, 10)).is_accepted
    other = make(folder=tmp_path / "b", segment_mb=0.01, total_mb=0.05, on_full=DROP_OLDEST)
    for number in range(100):
        assert other.deliver(f"k{number}", readings(number * 10, 10)).is_accepted
    assert other.dropped_segments_total > 0
    assert sum(one.stat().st_size for one in (tmp_path / "b").iterdir()) <= 0.05 * 1_048_576
    assert seqs(tmp_path / "b")[-1] == 999


def test_folder_that_can_not_be_written(make, tmp_path):
    (tmp_path / "out").write_text("a file")
    delivery = make().deliver("k", readings(0, 1))
    assert delivery.outcome == FAILED
    assert "exists" in delivery.problem


WRITER = """
import sys
from pathlib import Path
from host.deliveries import readings
from host.fakes import FakeClock
from pyv_edge_agent.sinks.file import FileOptions, FileSink

sink = FileSink(FileOptions(Path(sys.argv[1]), segment_mb=0.05), FakeClock())
number = int(sys.argv[2])
while True:
    assert sink.deliver(f"k{number}", readings(number * 20, 20)).is_accepted
    number += 1
    print(number, flush=True)
"""


def test_writer_that_is_killed_again_and_again(tmp_path):
    rng = random.Random(5)
    acknowledged = 0
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "out"), str(acknowledged)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(rng.randrange(2, 30)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        # Not communicate: it would miss the lines that readline() has taken in already.
        for line in process.stdout.read().split():
            acknowledged = int(line)
        process.wait(timeout=30)
    last = FileSink(FileOptions(tmp_path / "out", segment_mb=0.05), FakeClock())
    assert last.deliver(f"k{acknowledged}", readings(acknowledged * 20, 20)).is_accepted
    assert seqs(tmp_path / "out") == list(range((acknowledged + 1) * 20))


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "small", 256 << 10) as folder:
        yield folder


def test_full_disk_keeps_what_is_whole_and_takes_the_rest_later(make, disk):
    sink = make(folder=disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(150_000))
    accepted = 0
    while sink.deliver(f"k{accepted}", readings(accepted * 50, 50)).is_accepted:
        accepted += 1
    delivery = sink.deliver(f"k{accepted}", readings(accepted * 50, 50))
    assert delivery.outcome == FAILED
    assert "No space left" in delivery.problem
    assert seqs(disk) == list(range(accepted * 50))
    ballast.unlink()
    assert sink.deliver(f"k{accepted}", readings(accepted * 50, 50)).is_accepted
    assert seqs(disk) == list(range((accepted + 1) * 50))


def test_probe_looks_for_a_folder_and_makes_none(tmp_path):
    assert FileSink(FileOptions(tmp_path / "not/yet")).probe().is_accepted
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    found = FileSink(FileOptions(tmp_path / "file/export")).probe()
    assert (found.outcome, found.problem) == (
        FAILED,
        f"{tmp_path}/file: is no folder that may be written to",
    )
