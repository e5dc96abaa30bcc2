"""tail: what is stored appears, once, whatever becomes of the file meanwhile."""

import json
import os
import queue
import signal
import subprocess
import threading

import pytest
from host.command import HOST, environment, run_host
from host.fakes import UTC_MS
from host.store_rig import StoreRig
from host.test_store import event_row, info
from pyv_edge_agent import exit_status
from pyv_edge_agent.store import BootInfo, ChannelInfo, WriteBatch

CONFIG = '[storage]\npath = "edge.db"\n'
LOCAL = '[[privacy.rules]]\npattern = "*.count"\naction = "local_only"\n'


class Tail:
    """The command as a process, whose lines are read as they come."""

    def __init__(self, folder, *args):
        self.lines, self.notes = queue.Queue(), queue.Queue()
        self.process = subprocess.Popen(
            [HOST, "tail", *args],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.threads = [
            threading.Thread(target=self.read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.notes))
        ]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def read(stream, found):
        for line in stream:
            found.put(line.rstrip("\n"))

    def next(self, count):
        return [self.lines.get(timeout=30) for _ in range(count)]

    def seqs(self, count):
        return [json.loads(line)["metadata"]["seq"] for line in self.next(count)]

    def note(self):
        return self.notes.get(timeout=30)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(30)
        for thread in self.threads:
            thread.join(30)
        assert self.lines.empty(), self.lines.get()
        return status


@pytest.fixture
def follow(rig, tmp_path):
    made = []

    def start(*args, config=CONFIG + LOCAL):
        (tmp_path / "edge.toml").write_text(config)
        made.append(Tail(tmp_path, *args))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(30)
        for stream in (one.process.stdout, one.process.stderr):
            stream.close()


def add_event(rig, rule="hot", state="firing"):
    batch = WriteBatch()
    batch.events.append(event_row(rig.opened, rule=rule, state=state))
    rig.store.commit(batch)


def test_past_comes_first_and_then_what_is_new_once(rig, follow):
    rig.mixed(6)
    tail = follow("--json", "-n", "2")
    assert tail.seqs(2) == [3, 5]
    rig.mixed(3)
    assert tail.seqs(2) == [6, 8]
    add_event(rig)
    (event,) = map(json.loads, tail.next(1))
    assert (event["rule_name"], event["metadata"]["state"]) == ("hot", "firing")
    rig.mixed(3)
    assert tail.seqs(2) == [9, 11]
    assert tail.stop() == exit_status.INTERRUPTED
    assert tail.notes.empty()


def test_filters_and_what_is_local(rig, follow):
    rig.mixed(3)
    local = follow("--json", "-n", "1", "--local", "--sensor", "*.count")
    good = follow("--json", "-n", "1", "--sensor", "*.temp", "--quality", "good")
    assert (local.seqs(1), good.seqs(1)) == ([1], [0])
    rig.add(1, quality=2)
    rig.add(1, channel=1)
    rig.add(1)
    assert (local.seqs(1), good.seqs(1)) == ([4], [5])


def test_lines_for_people(rig, follow):
    rig.add(1, value=2153)
    tail = follow("-n", "1")
    assert tail.next(1)[0].split() == [
        *("2026-05-28T20:26:40.000Z", "porch.temp", "21.53", "Cel", "good", "good"),
    ]
    add_event(rig)
    add_event(rig, state="resolved")
    first, second = tail.next(2)
    assert first == "2023-11-14T22:13:20.000Z  critical firing: m (hot)"
    assert second == "2023-11-14T22:13:20.000Z  critical resolved: m (hot)"


def test_channels_that_come_later_are_followed(rig, follow):
    rig.add(1)
    tail = follow("--json", "-n", "1")
    assert tail.seqs(1) == [0]
    more = ChannelInfo("hum", "shed.hum", "%RH", -1)
    rig.opened = rig.store.open_boot(BootInfo("board-2", "shed", 7, "b", "f", "r", (more,)), 0)
    rig.seq = 0
    rig.add(1, value=512)
    (found,) = map(json.loads, tail.next(1))
    assert (found["sensor_name"], found["value"]) == ("shed.hum", 51.2)


def test_another_store_at_the_path_is_gone_on_in(rig, follow, tmp_path):
    rig.mixed(1)
    tail = follow("--json", "-n", "1")
    assert tail.seqs(1) == [0]
    rig.close()
    for one in tmp_path.glob("edge.db*"):
        one.rename(tmp_path / f"old-{one.name}")
    rig.open()
    while not tail.note().endswith("is another file now; going on in it"):
        pass
    rig.add(2)
    assert tail.seqs(2) == [0, 1]


def test_a_store_that_is_away_is_waited_for(rig, follow, tmp_path):
    rig.mixed(3)
    tail = follow("--json", "-n", "1")
    assert tail.seqs(1) == [2]
    rig.close()
    os.rename(tmp_path / "edge.db", tmp_path / "away.db")
    assert tail.note().endswith("; waiting for it")
    os.rename(tmp_path / "away.db", tmp_path / "edge.db")
    assert tail.note().endswith(("is there again", "going on in it"))
    rig.open()
    rig.add(1)
    assert tail.seqs(1) == [3]


def test_older_copy_of_the_store_is_followed_from_its_end(rig, follow, tmp_path):
    rig.mixed(3)
    rig.close()
    copy = (tmp_path / "edge.db").read_bytes()
    rig.open()
    rig.mixed(3)
    tail = follow("--json", "-n", "1")
    assert tail.seqs(1) == [5]
    rig.close()
    for end in ("-wal", "-shm"):  # of what is replaced
        (tmp_path / f"edge.db{end}").unlink(missing_ok=True)
    (tmp_path / "copy.db").write_bytes(copy)
    os.replace(tmp_path / "copy.db", tmp_path / "edge.db")
    assert "going on in it" in tail.note()
    rig.open()
    assert rig.seq == 3
    rig.add(1)
    assert tail.seqs(1) == [3]


@pytest.mark.parametrize(
    ("args", "status", "problem"),
    [
        (("-n", "-1"), exit_status.USAGE, "-n/--lines: -1 is outside 0..1000000"),
        (("--sensor", ""), exit_status.USAGE, "--sensor: '' is not a pattern"),
        (("--db", "no.db"), exit_status.REFUSED, "no.db: there is no store"),
    ],
)
def test_what_is_wrong_at_the_start_ends_it(rig, tmp_path, args, status, problem):
    (tmp_path / "edge.toml").write_text(CONFIG)
    done = run_host("tail", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert problem in done.stderr


def test_wal_that_is_deleted_under_it_is_not_looked_through(rig, follow, tmp_path):
    """As when its file is replaced under an agent, and `tail` sees that first."""
    other = StoreRig(tmp_path / "other.db")
    other.mixed(5)
    other.close()
    rig.mixed(3)
    tail = follow("--json", "-n", "1")
    assert tail.seqs(1) == [2]
    os.replace(tmp_path / "other.db", rig.path)
    while not tail.note().endswith("is another file now; going on in it"):
        pass  # through the WAL of the file that was there
    rig.store.reopen()
    rig.opened = rig.store.open_boot(info(), UTC_MS)
    rig.seq = rig.opened.next_seq[0]
    rig.add(4)
    seen = tail.seqs(1)
    while seen[-1] != 8:  # some that were there before may come first
        seen += tail.seqs(1)
    assert seen[-4:] == [5, 6, 7, 8]
    assert len(set(seen)) == len(seen)
