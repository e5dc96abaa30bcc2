"""Output that fails: lines stay whole and in order, what is missing is counted and told."""

import errno
import json
import os
import threading

import pytest
from pyv_edge_tools.bridge import stdio, steady_output
from pyv_edge_tools.bridge.chunk import Note
from pyv_edge_tools.bridge.errors import BridgeError, OutputStuckError
from pyv_edge_tools.bridge.steady_output import KEPT_MAX, RETRY_NS, SteadyOutput

LINE = "x" * 99
WHY = "standard output can't be written: No space left on device"


class Disk:
    """Takes so many bytes as there is room for, and then none; `tries_total` counts writes."""

    def __init__(self, room):
        self.room = room
        self.text = b""
        self.tries_total = 0
        self.kind = errno.ENOSPC

    def write(self, data):
        self.tries_total += 1
        if not self.room:
            raise OSError(self.kind, os.strerror(self.kind))
        taken = data[: self.room]
        self.room -= len(taken)
        self.text += taken
        return len(taken)


class Made:
    """A SteadyOutput, its disk, its clock, and what it complained of."""

    def __init__(self, room, *, is_json=False, is_needed=True):
        self.now_ns = 0
        self.complaints = []
        self.disk = Disk(room)
        self.output = SteadyOutput(
            is_json=is_json,
            is_needed=is_needed,
            write=self.disk.write,
            complain=self.complaints.append,
            clock=lambda: self.now_ns,
        )

    def tell(self, *texts):
        for text in texts:
            self.output.tell({"text": text}, text)
        self.output.tick()

    @property
    def lines(self):
        return self.disk.text.decode().splitlines()


def test_disk_that_gets_room_has_every_line_whole_and_in_order():
    made = Made(10)
    made.tell("first", "second", "third")
    made.tell("fourth")
    assert made.disk.text == b"first\nseco"
    assert made.output.unwritten_lines_total == 3
    made.disk.room = 1000
    made.now_ns += RETRY_NS
    made.tell()
    assert made.lines == ["first", "second", "third", "fourth"]
    assert (made.output.unwritten_lines_total, made.output.status) == (0, 0)
    assert made.complaints == [f"pyv-edge-bridge: {WHY}; all else goes on, Ctrl-C ends it"]


def test_what_can_not_be_kept_is_counted_and_told_in_its_place():
    for is_json in (False, True):
        made = Made(0, is_json=is_json)
        kept = missing = 0
        for _ in range(2 * KEPT_MAX // len(LINE)):
            made.tell(LINE)
        made.disk.room = 10 * KEPT_MAX
        made.now_ns += RETRY_NS
        made.tell("later")  # is missing, too: it comes after what is
        made.tell("last")
        *before, remark, last = made.lines
        kept = len(before)
        missing = 2 * KEPT_MAX // len(LINE) - kept + 1
        assert kept and set(before) == {json.dumps({"text": LINE}) if is_json else LINE}
        assert f"{missing} lines are missing here: standard output can't be written" in remark
        if is_json:
            told = json.loads(remark)
            assert (told["event"], told["at_s"]) == ("port", RETRY_NS / 1e9)
        assert "last" in last
        assert (made.output.unwritten_lines_total, made.output.status) == (missing, 1)
        assert len(made.complaints) == 1


def test_remark_that_has_no_room_itself_is_told_once():
    made = Made(0)
    for _ in range(2 * KEPT_MAX // len(LINE)):
        made.tell(LINE)
    missing = made.output.unwritten_lines_total - KEPT_MAX // (len(LINE) + 1)
    made.disk.room = KEPT_MAX  # what was kept, and a piece of the remark
    made.now_ns += RETRY_NS
    made.tell()
    assert made.disk.room == 0
    made.tell("after")
    made.disk.room = 1000
    made.output.end()
    assert made.lines[-2].endswith(f"{missing} lines are missing here: {WHY}")
    assert made.lines[-1] == "after"
    assert made.output.unwritten_lines_total == missing


def test_it_is_not_tried_again_at_once_but_at_the_end():
    made = Made(0)
    made.tell("a")
    tries = made.disk.tries_total
    made.disk.room = 1000
    for text in "bcd":
        made.tell(text)
    assert made.disk.tries_total == tries
    made.output.end()
    assert made.lines == ["a", "b", "c", "d"]


def test_failure_is_told_once_however_often_it_comes():
    made = Made(0)
    for _ in range(5):
        made.disk.room = 1  # it gets room, and has none again
        made.tell("text")
        made.now_ns += RETRY_NS
    assert len(made.complaints) == 1


def test_reader_that_left_is_no_failure_and_may_come_back():
    made = Made(0)
    made.disk.kind = errno.EPIPE
    made.tell("a")
    assert made.complaints == [
        "pyv-edge-bridge: nobody reads standard output; all else goes on, Ctrl-C ends it"
    ]
    assert (made.output.unwritten_lines_total, made.output.status) == (1, 0)
    made.disk.room = 1000
    made.output.end()
    assert made.lines == ["a"]


def test_command_that_is_there_for_its_output_ends_with_it():
    made = Made(0, is_needed=False)
    with pytest.raises(BridgeError, match=WHY):
        made.tell("a")
    made.disk.kind = errno.EBADF
    with pytest.raises(BridgeError, match="standard output is closed"):
        made.tell("a")
    made.disk.kind = errno.EPIPE
    with pytest.raises(BrokenPipeError):
        made.tell("a")
    assert made.complaints == []


def test_what_is_said_last_gets_the_room_that_there_is():
    made = Made(0)
    for _ in range(2 * KEPT_MAX // len(LINE)):
        made.tell(LINE)
    made.disk.room = 10 * KEPT_MAX
    made.output.conclude({}, "summary")
    assert made.lines[-1] == "summary"
    assert made.output.status == 1


def test_failure_of_what_is_said_last_is_told():
    made = Made(0)
    made.output.conclude({}, "summary")
    assert made.complaints == [f"pyv-edge-bridge: {WHY}"]
    assert made.output.status == 1


def test_remarks_are_told_with_their_time():
    made = Made(1000)
    made.output.tell_note(Note(1_500_000_000, "the program has closed its end"))
    made.output.tick()
    assert made.lines == ["     1.500  -      the program has closed its end"]


def test_large_output_is_written_before_the_next_tick():
    made = Made(10 * steady_output.KEPT_MAX)
    made.output.tell({}, "x" * steady_output.KEPT_MAX)
    assert len(made.disk.text) == steady_output.KEPT_MAX + 1


def test_work_that_does_not_end_is_not_waited_for():
    may_go = threading.Event()
    assert not stdio.is_done_in_time(may_go.wait, 0.01)
    may_go.set()
    assert stdio.is_done_in_time(may_go.wait, 60)
    # One that nobody has asked to end has all the time it wants.
    asked = iter([False, False, True])
    assert not stdio.is_done_in_time(threading.Event().wait, 0.01, lambda: next(asked))
    assert next(asked, None) is None

    def fail():
        raise OutputStuckError("why")

    with pytest.raises(OutputStuckError, match="why"):
        stdio.is_done_in_time(fail, 60)
