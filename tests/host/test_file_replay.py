"""A recording is replayed: in time, once, and on where it stood."""

import gzip
import json
import threading

import pytest
from host.fakes import UTC_MS, FakeClock
from host.file_rig import Shelf, file_device
from host.waiting import wait_for
from pyv_edge_agent.adapters import create_adapter
from pyv_edge_agent.adapters.file_replay import FileReplayAdapter
from pyv_edge_agent.adapters.stored_feed import PIECE_MAX
from pyv_edge_agent.errors import AdapterError, SubmissionError
from pyv_edge_agent.submission import Feed

BEGAN_S = 1_767_323_045


class Replay:
    """A replay in a thread, on a shelf."""

    def __init__(self, path, **settings):
        self.table = file_device(path, mode="replay", **settings)
        self.shelf = Shelf()
        self.clock = FakeClock()
        self.start()

    def start(self):
        """Begin as after a kill: only what is on the shelf is known."""
        self.adapter = create_adapter(self.table, self.clock)
        self.feed = Feed(
            self.table, self.shelf.put, lambda name: self.shelf.positions.copy(), self.clock
        )
        self.thread = threading.Thread(target=self.adapter.run, args=(self.feed,), daemon=True)
        self.thread.start()

    def stop(self):
        self.adapter.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def restart(self):
        self.stop()
        self.start()

    def advance(self, ms):
        self.clock.advance(ms)
        self.adapter._stop.wake()  # it looks at the clock again

    def wait_for(self, *values):
        wait_for(lambda: self.shelf.values == list(values), f"{values}")

    def wait_for_end(self):
        wait_for(lambda: self.adapter.status()["state"] == "finished", "the end of the replay")


@pytest.fixture
def play(tmp_path):
    made = []

    def begin(lines, name="r.jsonl", **settings):
        path = tmp_path / name
        if lines is not None:
            data = lines if isinstance(lines, bytes) else "".join(lines).encode()
            path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        made.append(Replay(path, **settings))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def line(value, after_s=0.0):
    return json.dumps({"timestamp": BEGAN_S + after_s, "value": value}) + "\n"


def test_readings_come_as_they_were_recorded(play):
    replay = play([line(1), line(2, 10), line(3, 25)])
    replay.wait_for(1.0)
    replay.advance(9_999)
    replay.advance(1)
    replay.wait_for(1.0, 2.0)
    replay.advance(15_000)
    replay.wait_for(1.0, 2.0, 3.0)
    assert [one.utc_ms for one in replay.shelf.samples] == [
        (BEGAN_S + after) * 1000 for after in (0, 10, 25)
    ]
    replay.wait_for_end()


def test_speed_is_a_factor(play):
    replay = play([line(1), line(2, 3600)], speed=3600)
    replay.wait_for(1.0)
    replay.advance(1000)
    replay.wait_for(1.0, 2.0)


def test_speed_0_is_as_fast_as_can_be(play):
    count = 2 * PIECE_MAX + 10
    replay = play([line(number, 1000 * number) for number in range(count)], speed=0)
    replay.wait_for_end()
    assert replay.shelf.values == [float(number) for number in range(count)]
    assert max(replay.shelf.sizes) == PIECE_MAX


def test_what_was_recorded_earlier_than_the_one_before_is_not_waited_for(play):
    replay = play([line(1, 100), line(2, 50), line(3, 101)])
    replay.wait_for(1.0, 2.0)
    replay.advance(1000)
    replay.wait_for(1.0, 2.0, 3.0)


def test_times_may_be_those_of_the_replay(play):
    replay = play([line(1), line(2)], times="now")
    replay.wait_for_end()
    assert [one.utc_ms for one in replay.shelf.samples] == [None, None]


def test_loop_begins_anew(play):
    replay = play([line(1), line(2, 1)], times="now", loop=True)

    def is_there():
        replay.advance(500)
        return len(replay.shelf.values) >= 6

    wait_for(is_there, "three passes")
    assert replay.shelf.values[:6] == [1.0, 2.0] * 3
    assert json.loads(replay.feed.position())["passes"] >= 2


def test_loop_over_nothing_does_not_spin(play):
    replay = play(["\n", "nonsense\n"], times="now", loop=True)
    wait_for(
        lambda: "has no reading in it" in replay.adapter.status()["connection_problem"],
        "the problem",
    )
    assert replay.feed.rejected_total == 1


def test_restart_goes_on_where_it_stood(play):
    replay = play([line(1), line(2, 10), line(3, 20)])
    replay.wait_for(1.0)
    replay.restart()
    replay.wait_for(1.0, 2.0)  # what is next is the first of this run
    replay.advance(10_000)
    replay.wait_for(1.0, 2.0, 3.0)


def test_finished_is_finished_also_after_a_restart(play, log):
    replay = play([line(1)])
    replay.wait_for_end()
    replay.restart()
    replay.wait_for_end()
    replay.adapter._path.unlink()
    replay.restart()
    replay.wait_for_end()
    assert replay.shelf.values == [1.0]
    assert len(log.having("is finished")) == 1


def test_path_that_is_changed_and_changed_back(play):
    replay = play([line(1), line(2, 10)])
    replay.wait_for(1.0)
    first = replay.table["path"]
    other = replay.adapter._path.with_name("other.jsonl")
    other.write_text(line(5))
    replay.table["path"] = str(other)
    replay.restart()
    replay.wait_for(1.0, 5.0)
    replay.wait_for_end()
    replay.table["path"] = first
    replay.restart()
    replay.advance(10_000)
    replay.wait_for(1.0, 5.0, 2.0)
    replay.table["path"] = str(other)
    replay.restart()
    replay.wait_for_end()
    assert replay.shelf.values == [1.0, 5.0, 2.0]


def test_position_of_an_earlier_schema_is_that_of_the_file(play):
    replay = play([line(1), line(2, 10)])
    replay.wait_for(1.0)
    replay.stop()
    replay.shelf.positions = {"": replay.feed.position()}
    replay.start()
    replay.advance(10_000)
    replay.wait_for(1.0, 2.0)


def test_another_file_is_replayed_whole(play, log):
    replay = play([line(1), line(2)])
    replay.wait_for_end()
    replay.adapter._path.write_text(line(7) + line(8))
    replay.restart()
    replay.wait_for(1.0, 2.0, 7.0, 8.0)
    assert "is another file by now" in log.warnings()[0]


def test_what_is_given_up_is_read_again(play):
    replay = play(None)
    replay.shelf.give_up = 2
    replay.adapter._path.write_text(line(1) + line(2))
    replay.restart()
    replay.wait_for(1.0, 2.0)
    replay.wait_for_end()


def test_file_that_is_not_there_is_waited_for(play, log):
    replay = play(None)
    wait_for(
        lambda: "is not there" in replay.adapter.status()["connection_problem"], "the problem"
    )
    replay.adapter._path.write_text(line(1))
    replay.adapter._stop.wake()
    replay.wait_for(1.0)
    replay.wait_for_end()
    path = replay.adapter._path
    assert log.warnings() == [f"device log: {path} is not there; trying again"]
    assert [line for line in log.having("replays") if "after 0.0 s" in line]


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
def test_rows_of_csv(play, name):
    rows = "timestamp,sensor_name,value\n2026-01-02T03:04:05Z,a,1\nnonsense\n1767323045000,b,2"
    replay = play(rows.encode(), name, channel_path="sensor_name")
    replay.wait_for_end()
    assert [(one.channel, one.value) for one in replay.shelf.samples] == [("a", 1.0), ("b", 2.0)]
    assert replay.feed.rejected_total == 1
    assert "has 1 columns" in replay.feed.problem


def test_header_is_known_after_a_restart(play):
    rows = f"timestamp,value\n{BEGAN_S},1\n{BEGAN_S + 10},2\n"
    replay = play(rows.encode(), "r.csv")
    replay.wait_for(1.0)
    replay.restart()
    replay.wait_for(1.0, 2.0)


def test_damaged_archive_is_replayed_up_to_the_damage_and_says_so(play):
    whole = gzip.compress("".join(line(n) for n in range(20_000)).encode(), mtime=0)
    replay = play(None, "r.jsonl.gz", speed=0)
    replay.adapter._path.write_bytes(whole[: len(whole) // 2])
    replay.restart()
    wait_for(lambda: "is damaged" in replay.adapter.status()["connection_problem"], "the problem")
    found = replay.shelf.values
    assert found == [float(n) for n in range(len(found))]
    replay.adapter._path.write_bytes(whole)
    replay.restart()
    replay.wait_for_end()
    assert replay.shelf.values == [float(n) for n in range(20_000)]


def test_stop_ends_a_wait(play):
    replay = play([line(1), line(2, 1e6)])
    replay.wait_for(1.0)
    replay.stop()


def test_place_of_a_tail_is_none(play):
    replay = play(None)
    replay.shelf.positions[""] = json.dumps({"mode": "tail", "inode": 1, "offset": 5})
    replay.adapter._path.write_text(line(1))
    replay.restart()
    replay.wait_for(1.0)


# -- as documented ---------------------------------------------------------------------------


def test_documented_generators_need_no_device(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(
        "sensor_name,timestamp,value,unit\n"
        "a,2026-01-02T03:04:05+00:00,1.5,Cel\n"
        "b,1767323045.5,2,\n"
        "b,1767323046000,3,\n"
    )
    adapter = FileReplayAdapter()
    assert list(adapter.read_csv(path)) == [
        {"sensor_name": name, "timestamp": at, "value": value, "unit": unit, "metadata": {}}
        for name, at, value, unit in (
            ("a", 1_767_323_045.0, 1.5, "Cel"),
            ("b", 1_767_323_045.5, 2.0, ""),
            ("b", 1_767_323_046.0, 3.0, ""),
        )
    ]
    with pytest.raises(AdapterError, match="without a device"):
        adapter.run(Feed(file_device(path), lambda *_: True, lambda name: {}, FakeClock()))


def test_documented_generator_of_json_has_metadata(tmp_path):
    path = tmp_path / "r.jsonl"
    reading = {"sensor_name": "a", "timestamp": UTC_MS, "value": 1, "metadata": {"room": "x"}}
    path.write_text(json.dumps(reading) + "\n\n")
    assert list(FileReplayAdapter.read_jsonl(str(path))) == [
        {**reading, "timestamp": UTC_MS / 1000, "unit": ""}
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"timestamp": 1767323045, "value": 1}', "r.jsonl:2: sensor_name is missing"),
        ('{"sensor_name": "a", "value": 1}', "r.jsonl:2: timestamp is missing"),
        ('{"sensor_name": "a", "timestamp": 1767323045}', "r.jsonl:2: value is missing"),
        ("{", "r.jsonl:2: is no JSON"),
        ("7", "is missing"),
    ],
)
def test_what_is_missing_is_an_error_that_says_where(tmp_path, content, problem):
    path = tmp_path / "r.jsonl"
    path.write_text('{"sensor_name": "a", "timestamp": 1767323045, "value": 1}\n' + content)
    readings = FileReplayAdapter.read_jsonl(path)
    assert next(readings)["value"] == 1.0
    with pytest.raises(SubmissionError, match=problem):
        next(readings)


def test_file_that_is_not_there_is_an_error_when_it_is_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(FileReplayAdapter.read_csv(tmp_path / "no.csv"))
