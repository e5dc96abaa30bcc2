"""A file is followed: each of its lines once, whatever becomes of the file."""

import json
import os
import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from host.fakes import FakeClock
from host.file_rig import Log, Reading, file_device
from host.test_intake import Site
from host.waiting import wait_for
from pyv_edge_agent.adapters import create_adapter
from pyv_edge_agent.adapters.file_tail import READ_MAX, FileTailAdapter
from pyv_edge_agent.adapters.lines import SIZE_MAX
from pyv_edge_agent.adapters.stored_feed import PIECE_MAX
from pyv_edge_agent.submission import CHANNELS_MAX, Feed, Sample

LOOKS = 3  # as many as it takes to leave a file that was moved away


@pytest.fixture
def log_file(tmp_path):
    return Log(tmp_path / "meter.log")


@pytest.fixture
def reading(log_file):
    return Reading(log_file.path)


# -- lines -------------------------------------------------------------------------------


def test_lines_are_read_as_they_are_written(log_file, reading):
    log_file.add(1, 2)
    assert reading.read() == [1.0, 2.0]
    log_file.add(3)
    assert reading.read() == [1.0, 2.0, 3.0]
    assert reading.feed.rejected_total == 0


def test_line_that_is_not_finished_waits(log_file, reading):
    log_file.write('{"value": 1}\n{"val')
    assert reading.read() == [1.0]
    log_file.write('ue": 2')
    assert reading.read() == [1.0]
    log_file.write("3}\n")
    assert reading.read() == [1.0, 23.0]


def test_line_that_is_not_finished_at_a_kill_is_read_whole(log_file, reading):
    log_file.write('{"value": 1}\n{"value": 1')
    reading.read()
    reading.start()
    log_file.write("2}\n")
    assert reading.read() == [1.0, 12.0]


def test_a_row_is_a_document_with_the_columns_as_names(tmp_path):
    log_file = Log(tmp_path / "m.csv")
    reading = Reading(
        log_file.path,
        delimiter="semicolon",
        time_path="when",
        channel_path="sensor",
        value_path='["reading.value"]',
        unit_path="unit",
        quality_path="q",
    )
    log_file.write(
        "\ufeffwhen;sensor;reading.value;unit;q\r\n"
        "2026-01-02T03:04:05Z;temp;21.5;Cel;good\r\n"
        '1767323046;"hall; left";40;;\r\n'
        "\r\n"
        "when;sensor;reading.value;unit;q\r\n"
        "1767323047250;temp;-3;Cel;uncertain\r\n"
    )
    reading.read()
    assert reading.shelf.samples == [
        Sample("temp", 21.5, 1_767_323_045_000, "Cel", 0),
        Sample("hall; left", 40.0, 1_767_323_046_000, "", 0),
        Sample("temp", -3.0, 1_767_323_047_250, "Cel", 1),
    ]
    assert reading.feed.rejected_total == 0


def test_columns_of_a_file_without_a_header_are_given(tmp_path):
    log_file = Log(tmp_path / "m.tsv")
    reading = Reading(log_file.path, delimiter="tab", columns="host, value", channel_path="host")
    log_file.write("a\t1\nhost\tvalue\nb\t2\n")
    assert reading.read() == [1.0, 2.0]
    assert [sample.channel for sample in reading.shelf.samples] == ["a", "b"]


def test_several_channels_of_a_row(tmp_path):
    log_file = Log(tmp_path / "m.csv")
    reading = Reading(log_file.path, fields={"temp": "t", "hum": "h"})
    log_file.write("t,h,other\n20,40,x\n")
    reading.read()
    assert [sample[:2] for sample in reading.shelf.samples] == [("temp", 20.0), ("hum", 40.0)]


@pytest.mark.parametrize("is_killed", [False, True])
def test_header_in_the_middle_says_what_follows(tmp_path, is_killed):
    """A logger that is started again may have other columns, or another order."""
    log_file = Log(tmp_path / "m.csv")
    settings = {"time_path": "", "value_path": "v"}
    log_file.write("t,v,w\n1,10,-1\n2,11,-1\nt,w,v\n3,-1,12\n")
    reading = Reading(log_file.path, **settings)
    reading.read()
    if is_killed:
        reading.start()
    log_file.write("4,-1,13\n v , t , x , w\n14,5,0,-1\n")
    assert reading.read() == [10, 11, 12, 13, 14]
    log_file.write("15,6,0,-1\n")
    log_file.move_away()
    log_file.write("t,v,w\n7,16,-1\nt,v\n")
    assert reading.read(5) == [10, 11, 12, 13, 14, 15, 16]
    assert reading.feed.rejected_total == 0


def test_row_with_the_name_of_a_column_is_no_header(tmp_path):
    log_file = Log(tmp_path / "m.csv")
    log_file.write("state,v\nv,10\nstate,11\n")
    reading = Reading(log_file.path, time_path="", value_path="v")
    assert reading.read() == [10, 11]


def test_header_is_read_again_after_a_kill(tmp_path):
    log_file = Log(tmp_path / "m.csv")
    reading = Reading(log_file.path)
    log_file.write("id,value\n1,10\n")
    reading.read()
    reading.start()
    log_file.write("2,20\n")
    assert reading.read() == [10.0, 20.0]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"hello", "is no JSON"),
        (b'{"value": 4', "is no JSON"),
        (b'{"other": 777}', "value is missing"),
        (b'{"value": null}', "value is null"),
        (b'{"value": "777 W"}', "value is no number"),
        (b'{"value": true}', "truth value"),
        (b'{"value": NaN}', "not finite"),
        (b'{"value": 1e999}', "not finite"),
        (b'{"value": ' + b"7" * 5000 + b"}", "is "),
        (b'{"value": 777, "ch": "a\\u0000b"}', "not printable"),
        (b'{"value": 777, "ch": "\\ud800"}', "not printable"),
        (b'{"value": 777, "t": "1969-07-20"}', "outside of 2000"),
        (b'{"value": 777, "t": "soon"}', "t is no time"),
        (b'{"value": 777, "t": [1]}', "t is a list"),
        (b"[" * 60_000, "nested too deep"),
        (b"\xff\xfe\x00{", "is no UTF-8"),
        (b"\x00" * 300, "is no JSON"),
        (b"x" * (SIZE_MAX + 1), f"longer than {SIZE_MAX}"),
        (b"x" * (5 * SIZE_MAX), f"longer than {SIZE_MAX}"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_reading_is_counted_and_the_next_line_is_read(tmp_path, line, problem):
    log_file = Log(tmp_path / "m.log")
    good = '{"value": 1, "t": 1767323046, "ch": "a"}\n'
    paths = {
        name: path
        for name, path in (("time_path", "t"), ("channel_path", "ch"))
        if f'"{path}"'.encode() in line
    }
    reading = Reading(log_file.path, **paths)
    log_file.write(good.encode() + line + b"\n" + good.encode())
    assert reading.read() == [1.0, 1.0]
    assert reading.feed.rejected_total == 1
    assert problem in reading.feed.problem
    assert f"m.log: the line at byte {len(good)}: " in reading.feed.problem
    assert "777" not in reading.feed.problem


def test_line_that_has_no_end_is_shown_while_it_is_skipped(log_file, reading):
    def problem():
        return reading.adapter.status()["connection_problem"]

    log_file.write(b'{"value": 1}\n{"value": 2}')
    assert (reading.read(), problem()) == ([1.0], "")
    log_file.write(b"x" * (3 * SIZE_MAX))
    assert reading.read() == [1.0]
    size = 3 * SIZE_MAX + len('{"value": 2}')
    assert problem() == f"a line of {size} bytes has no end yet; it is skipped"
    log_file.write(b'\n{"value": 3}\n')
    assert (reading.read(), problem()) == ([1.0, 3.0], "")
    assert reading.feed.rejected_total == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1", "has 1 columns, not 2"),
        ("1,2,3", "has 3 columns, not 2"),
        ("1,", "value is missing"),
        ("1,777V", "value is no number"),
        ('1,"2', "is no row of CSV"),
        ('1,"2"x', "is no row of CSV"),
        ("1,\x002", "is no"),
    ],
)
def test_row_that_is_no_reading_is_counted(tmp_path, row, problem):
    log_file = Log(tmp_path / "m.csv")
    reading = Reading(log_file.path)
    log_file.write(f"id,value\n1,10\n{row}\n2,20\n")
    assert reading.read() == [10.0, 20.0]
    assert problem in reading.feed.problem
    assert "777" not in reading.feed.problem


@pytest.mark.parametrize(
    ("header", "problem"),
    [("1,21.5", "doesn't name a column value"), ("value,value", "names a column twice")],
)
def test_header_that_is_none_says_what_to_do(tmp_path, header, problem):
    log_file = Log(tmp_path / "m.csv")
    reading = Reading(log_file.path)
    log_file.write(f"{header}\n")
    assert reading.read() == []
    assert problem in reading.feed.problem
    assert "give `columns`" in reading.feed.problem


def test_more_channels_than_there_may_be_are_rejected_and_nothing_beside_them(log_file):
    reading = Reading(log_file.path, channel_path="ch")
    for number in range(CHANNELS_MAX + 2):
        log_file.write(f'{{"value": {number}, "ch": "c{number}"}}\n')
    log_file.write('{"value": -1, "ch": "c0"}\n')
    assert len(reading.read()) == CHANNELS_MAX + 1
    assert reading.read()[-1] == -1.0
    assert reading.feed.rejected_total == 2


# -- how much at once ----------------------------------------------------------------------


def test_flood_comes_in_pieces(log_file, reading):
    log_file.add(*range(3 * PIECE_MAX))
    assert reading.read() == [float(number) for number in range(3 * PIECE_MAX)]
    assert max(reading.shelf.sizes) == PIECE_MAX


def test_line_with_many_readings_is_one_piece(log_file):
    reading = Reading(log_file.path, items_path="all")
    line = json.dumps({"all": [{"value": n} for n in range(3000)]})
    log_file.write(f'{line}\n{line}\n{{"all": []}}\n')
    assert reading.read() == 2 * [float(n) for n in range(3000)]
    assert max(reading.shelf.sizes) == 3000


def test_no_room_makes_it_wait(log_file, reading):
    reading.shelf.full = 3
    log_file.add(1)
    assert reading.read() == [1.0]
    assert reading.feed.full_total == 3


def test_long_garbage_is_not_read_again_after_a_kill(log_file, reading):
    log_file.write((b"x" * 999 + b"\n") * (READ_MAX // 1000 + 10))
    reading.read()
    assert reading.shelf.values == []
    reading.start()
    log_file.add(1)
    assert reading.read() == [1.0]
    assert reading.feed.rejected_total < 100


def test_what_is_given_up_is_read_again(log_file, reading):
    log_file.add(1, 2)
    reading.read()
    log_file.add(3, 4)
    reading.shelf.give_up = 2
    assert reading.read() == [1.0, 2.0, 3.0, 4.0]


def test_what_is_refused_is_passed(log_file, reading):
    reading.read()
    log_file.add(1)
    reading.shelf.refuse = 1
    assert reading.read() == []
    log_file.add(2)
    assert reading.read() == [2.0]


# -- which file ------------------------------------------------------------------------------


def test_kill_neither_loses_nor_doubles(log_file, reading):
    log_file.add(1, 2)
    reading.read()
    reading.start()
    log_file.add(3)
    assert reading.read() == [1.0, 2.0, 3.0]
    reading.start()
    assert reading.read() == [1.0, 2.0, 3.0]


def test_file_is_moved_away(log_file, reading, log):
    log_file.add(1)
    reading.read()
    log_file.add(2)
    log_file.move_away()
    log_file.add(3)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]
    assert log.warnings() == []


def test_copy_of_what_was_read_is_not_read_though_the_file_is_made_anew(log_file, reading):
    for day in range(3):
        log_file.add(*range(100 * day, 100 * day + 100))
        reading.read(3)
        log_file.copy_and_delete()
        with suppress(FileNotFoundError):
            reading.read(2)
    log_file.add(300)
    assert reading.read(4) == list(range(301))


def test_copy_of_a_file_that_was_moved_away_is_not_read(log_file, reading):
    log_file.add(*range(50))
    reading.read()
    log_file.move_away()
    log_file.write("")
    reading.read(3)
    log_file.back_up(".1")
    reading.read(2)
    log_file.add(50, 51)
    assert reading.read(3) == list(range(52))


@pytest.mark.parametrize("is_down", [False, True])
def test_file_that_was_read_and_is_touched_is_not_read_again(log_file, reading, is_down):
    log_file.add(*range(50))
    reading.read()
    log_file.move_away()
    log_file.add(*range(50, 60))
    reading.read(4)
    log_file.touch(".1")
    if is_down:
        reading.start()
    log_file.move_away()
    log_file.add(*range(60, 70))
    assert reading.read(5) == list(range(70))


def test_writer_that_never_notices_is_read_on(log_file, reading):
    log_file.hold_open()
    log_file.add(0, 1)
    reading.read()
    log_file.move_away()
    log_file.path.touch()
    reading.read(4)
    log_file.add(2)
    assert reading.read(3) == [0, 1, 2]
    log_file.move_away()
    log_file.path.touch()
    assert reading.read(4) == [0, 1, 2]
    log_file.add(3)
    assert reading.read(4) == [0, 1, 2, 3]
    log_file.path.write_text('{"value": 10}\n')
    assert sorted(reading.read(6)) == [0, 1, 2, 3, 10]
    log_file.add(4)
    with log_file.path.open("a") as file:
        file.write('{"value": 11}\n')
    assert sorted(reading.read(6)) == [0, 1, 2, 3, 4, 10, 11]
    assert reading.feed.rejected_total == 0


@pytest.mark.parametrize("is_down", [False, True])
def test_lines_that_come_late_into_a_file_that_was_moved_away_are_read(log_file, reading, is_down):
    log_file.hold_open()
    log_file.add(0)
    reading.read()
    log_file.move_away()
    log_file.path.write_text('{"value": 10}\n{"val')
    assert reading.read(4) == [0, 10]
    log_file.add(1)
    assert reading.read(3) == [0, 10]  # the line that has no end yet is not left
    if is_down:
        reading.start()
    with log_file.path.open("a") as file:
        file.write('ue": 11}\n')
    log_file.writer.write(b'{"value": 2}\n{"va')
    assert sorted(reading.read(6)) == [0, 1, 2, 10, 11] if not is_down else [0, 10, 11]
    assert reading.feed.rejected_total == 0
    log_file.writer.write(b'lue": 3}\n')
    log_file.move_away()
    log_file.writer.close()
    log_file.path.write_text('{"value": 20}\n')
    assert sorted(reading.read(8)) == [0, 1, 2, 3, 10, 11, 20]


@pytest.mark.parametrize("is_down", [False, True])
def test_older_file_that_is_written_or_touched_late_hides_none_behind_it(
    log_file, reading, is_down
):
    log_file.add(*range(10))
    reading.read()
    for first in (10, 20):
        log_file.move_away()
        log_file.add(*range(first, first + 10))
    log_file.touch(".2")
    if is_down:
        reading.start()
    assert reading.read(6) == list(range(30))


def test_what_was_moved_away_is_read_though_the_file_before_is_packed(log_file, reading):
    log_file.add(*range(10))
    reading.read(2)
    for first in (10, 20):
        log_file.move_away()
        log_file.add(*range(first, first + 10))
    log_file.moved(2).unlink()  # gzip, or rotate 1
    reading.start()
    assert reading.read(6) == list(range(30))


@pytest.mark.parametrize("away", [Log.cut_off, Log.copy_and_delete])
@pytest.mark.parametrize("is_down", [False, True])
def test_header_alone_makes_no_two_files_one(tmp_path, away, is_down):
    log_file = Log(tmp_path / "m.csv")
    log_file.write("v\n")
    reading = Reading(log_file.path, time_path="", value_path="v")
    reading.read(2)
    log_file.write("1\n2\n")
    away(log_file)
    log_file.write("v\n3\n")
    if is_down:
        reading.start()
    assert reading.read(6) == [1, 2, 3]


@pytest.mark.parametrize("before", ["\n", "# meter 7\n", "a line\n\n"])
def test_header_behind_other_lines_is_found_again_after_a_kill(tmp_path, before):
    log_file = Log(tmp_path / "m.csv")
    log_file.write(f"{before}t,v\n0,1\n")
    reading = Reading(log_file.path, time_path="", value_path="v")
    reading.read()
    reading.start()
    log_file.write("0,2\n")
    assert reading.read() == [1, 2]
    assert reading.feed.rejected_total == 0


def test_lines_that_came_late_while_the_agent_was_down_are_read_at_once(log_file, reading):
    log_file.add(0)
    reading.read(2)
    log_file.move_away()
    log_file.add(1)
    reading.read(4)
    with log_file.moved(1).open("a") as file:
        file.write('{"value": 2}\n')
    reading.start()
    assert reading.read(4) == [0, 1, 2]


@pytest.mark.parametrize("between", ["\n", "t,v\n"])
def test_lines_that_stand_often_keep_no_copy_from_being_known(tmp_path, between):
    log_file = Log(tmp_path / "m.csv")
    reading = Reading(log_file.path, time_path="", value_path="v")
    lines = [f"{number},{number}\n" for number in range(60)]
    log_file.write("t,v\n" + "".join(lines[:50]) + between * 3 + "".join(lines[50:]))
    reading.read(2)
    log_file.back_up()
    log_file.move_away()
    log_file.write("t,v\n60,60\n")
    assert reading.read(5) == list(range(61))


def test_columns_of_a_file_that_was_moved_away_are_known_after_a_kill(tmp_path):
    log_file = Log(tmp_path / "m.csv")
    log_file.write("v,w\n1,-1\nw,v\n-1,2\n")
    reading = Reading(log_file.path, time_path="", value_path="v")
    reading.read(2)
    log_file.move_away()
    log_file.write("v,w\n10,-1\n")
    reading.read(4)
    reading.start()
    with log_file.moved(1).open("a") as file:
        file.write("-1,3\n")
    assert sorted(reading.read(5)) == [1, 2, 3, 10]


@pytest.mark.parametrize("header", ["v,x,w", "v,w,w", "w"])
def test_header_that_can_not_be_used_makes_nothing_of_the_lines_behind_it(tmp_path, header):
    log_file = Log(tmp_path / "m.csv")
    log_file.write(f"v,w\n1,-1\n{header.replace('v', 'u')}\n-500,-600\nw,v\n-1,2\n")
    reading = Reading(log_file.path, time_path="", value_path="v")
    assert reading.read() == [1, 2]
    assert reading.feed.rejected_total >= 2


def test_path_that_is_changed_to_the_renamed_file_and_back_reads_it_once(tmp_path):
    log_file, other = Log(tmp_path / "m.log"), tmp_path / "other.log"
    reading = Reading(log_file.path)
    log_file.add(0, 1)
    reading.read(2)
    log_file.path.rename(other)
    reading.follow(other)
    with other.open("a") as file:
        file.write('{"value": 2}\n')
    reading.read(2)
    reading.follow(log_file.path)
    log_file.add(10)
    assert reading.read(5) == [0, 1, 2, 10]


@pytest.mark.parametrize("is_down", [False, True])
def test_file_with_a_header_alone_whose_writer_goes_on_is_read(tmp_path, is_down):
    """logrotate moves files away in which nothing has come, too."""
    path, header, line = tmp_path / "m.csv", "v\n", "{}\n"
    log_file = Log(path)
    log_file.write(header + line.format(1))
    reading = Reading(path, time_path="", value_path="v")
    reading.read(2)
    log_file.move_away()
    log_file.write(header)
    reading.read(4)
    with path.open("a") as held:
        log_file.move_away()
        log_file.write(header)
        reading.read(4)
        if is_down:
            reading.start()
            reading.read(2)
        for number in (2, 3):
            held.write(line.format(number))
    log_file.write(line.format(10))
    assert sorted(reading.read(6)) == [1, 2, 3, 10]
    assert reading.feed.rejected_total == 0


def test_deleted_file_is_let_go_of(log_file, reading):
    log_file.add(0)
    reading.read()
    log_file.move_away()
    log_file.add(1)
    reading.read(4)
    log_file.path.with_name(log_file.path.name + ".1").unlink()
    reading.read(2)
    names = [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    assert not [one for one in names if one.endswith("(deleted)") and log_file.path.name in one]


def test_what_still_comes_into_a_file_that_was_moved_away_is_read_first(log_file, reading):
    log_file.hold_open()
    log_file.add(1)
    reading.read()
    log_file.move_away()
    log_file.path.write_text('{"value": 4}\n')
    reading.read()
    log_file.add(2, 3)  # by a writer that hasn't noticed
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0, 4.0]


def test_moved_away_and_nothing_new_yet(log_file, reading, log):
    log_file.hold_open()
    log_file.add(1)
    reading.read()
    log_file.move_away()
    log_file.add(2)
    assert reading.read(LOOKS) == [1.0, 2.0]
    assert reading.problem == f"{log_file.path} is not there"
    log_file.writer = None
    log_file.add(3)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]
    assert reading.problem == ""
    assert log.warnings() == [f"device log: {log_file.path} is not there; trying again"]
    assert len(log.having(f"device log: reads {log_file.path}, after 0.0 s")) == 2


def test_file_ends_in_the_middle_of_a_line(log_file, reading):
    log_file.write('{"value": 1}\n{"value": 2')
    reading.read()
    log_file.move_away()
    log_file.add(3)
    assert reading.read(LOOKS) == [1.0, 3.0]
    assert reading.feed.rejected_total == 1
    assert "ended in the middle of a line" in reading.feed.problem


@pytest.mark.parametrize("end", [".1", "-20261127", ".2026-11-27T10", "_old"])
def test_file_is_moved_away_while_the_agent_is_down(log_file, reading, end):
    log_file.add(*range(5))
    reading.read()
    log_file.add(5)
    log_file.move_away(end)
    log_file.add(6)
    reading.start()
    assert reading.read(LOOKS) == [float(number) for number in range(7)]


def test_files_are_moved_away_many_times_while_the_agent_is_down(log_file, reading):
    log_file.add(0)
    reading.read()
    for number in range(1, 5):
        log_file.add(number)
        log_file.move_away()
    log_file.add(5)
    reading.start()
    assert reading.read(4 * LOOKS) == [float(number) for number in range(6)]


@pytest.mark.parametrize("is_down", [False, True])
def test_files_that_are_moved_away_in_one_tick_of_the_clock_are_read_in_order(
    log_file, reading, is_down
):
    log_file.add(0)
    reading.read()
    for number in range(1, 12):
        log_file.now_s -= 1
        log_file.add(number)
        log_file.move_away()
    log_file.add(12)
    if is_down:
        reading.start()
    assert reading.read(12 * LOOKS) == [float(number) for number in range(13)]


def test_older_files_that_were_moved_away_are_not_read_again(log_file, reading):
    log_file.add(1)
    reading.read()
    log_file.move_away()
    log_file.add(2)
    reading.read(LOOKS)
    log_file.move_away()
    log_file.add(3)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]
    reading.start()
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]


def test_other_files_of_the_folder_are_left_alone(log_file, reading):
    for name in ("meter.log.bak", "meter.log.1.gz", "meter2.log", "meter.log.swp", "a.log"):
        log_file.path.with_name(name).write_text('{"value": 99}\n')
    log_file.add(1)
    reading.read()
    log_file.move_away()
    log_file.add(2)
    assert reading.read(LOOKS) == [1.0, 2.0]


@pytest.mark.parametrize("is_down", [False, True])
def test_file_is_copied_and_cut_off(log_file, reading, is_down):
    log_file.hold_open()
    log_file.add(*range(10))
    reading.read()
    log_file.add(10, 11)
    log_file.cut_off()
    log_file.add(12)
    if is_down:
        reading.start()
    assert reading.read(LOOKS) == [float(number) for number in range(13)]


def test_file_is_cut_off_and_grows_beyond_where_it_was(log_file, reading, log):
    log_file.hold_open()
    log_file.add(1, 2)
    reading.read()
    os.truncate(log_file.path, 0)
    log_file.add(*range(10, 20))
    assert reading.read(LOOKS) == [1.0, 2.0] + [float(number) for number in range(10, 20)]
    assert log.warnings() == [f"{log_file.path} was cut off or written anew: it is read whole"]


def test_file_is_cut_off_in_the_middle_of_a_line(log_file, reading):
    log_file.hold_open()
    log_file.write('{"value": 1}\n{"value": 2')
    reading.read()
    os.truncate(log_file.path, 0)
    log_file.add(3)
    assert reading.read(LOOKS) == [1.0, 3.0]
    assert reading.feed.rejected_total == 1


def test_line_that_had_no_end_is_taken_back(log_file, reading):
    """By a writer that mends its file when it starts again."""
    log_file.hold_open()
    log_file.write('{"value": 1}\n{"value": 2')
    reading.read()
    os.truncate(log_file.path, len('{"value": 1}\n'))
    assert reading.read(2) == [1.0]
    log_file.add(3)
    assert reading.read() == [1.0, 3.0]
    assert reading.feed.rejected_total == 0


def test_file_is_written_anew_with_more_behind(log_file, reading):
    """As rsync and editors do: another file, the same beginning."""
    log_file.add(1, 2)
    reading.read()
    copy = log_file.path.with_name("copy")
    copy.write_bytes(log_file.path.read_bytes() + b'{"value": 3}\n')
    copy.replace(log_file.path)
    reading.start()
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]


def rewrite(log_file, *numbers):
    """Write it anew with more behind."""
    copy = log_file.path.with_name("copy")
    more = "".join(f'{{"value": {number}}}\n' for number in numbers)
    copy.write_bytes(log_file.path.read_bytes() + more.encode())
    copy.replace(log_file.path)


def test_file_is_written_anew_while_it_is_followed(log_file, reading, log):
    log_file.add(1, 2)
    reading.read()
    rewrite(log_file, 3)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]
    rewrite(log_file)
    reading.read(LOOKS)
    rewrite(log_file, 4)
    rewrite(log_file, 5)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert log.warnings() == []


def test_file_in_whose_place_is_another_one_is_read_whole_and_that_is_said(log_file, reading, log):
    log_file.add(1, 2)
    reading.read()
    log_file.path.with_name("copy").write_text('{"value": 1}\n{"value": 3}\n{"value": 4}\n')
    log_file.path.with_name("copy").replace(log_file.path)
    assert reading.read(LOOKS) == [1.0, 2.0, 1.0, 3.0, 4.0]
    (line,) = log.warnings()
    assert "another file has taken its place: it is read whole" in line


# -- another path ----------------------------------------------------------------------------


def test_path_that_is_changed_and_changed_back(log_file, reading, log):
    other = Log(log_file.path.with_name("other.log"))
    log_file.add(1, 2)
    other.add(3)
    reading.read(LOOKS)
    reading.follow(other.path)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]
    log_file.add(4)
    reading.follow(log_file.path)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0, 4.0]
    other.add(5)
    reading.follow(other.path)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert log.warnings() == []


def test_another_path_begins_where_start_says_and_without_what_was_moved_away(
    log_file, reading, log
):
    log_file.add(1)
    reading.read()
    other = Log(log_file.path.with_name("other.log"))
    other.now_s = log_file.now_s + 100
    other.add(7)
    other.move_away()
    other.add(8)
    reading.follow(other.path, start="end")
    assert reading.read(LOOKS) == [1.0]
    other.add(9)
    assert reading.read(LOOKS) == [1.0, 9.0]
    assert log.warnings() == []


def test_file_that_is_renamed_together_with_its_path_is_read_on(log_file, reading):
    log_file.add(1, 2)
    reading.read()
    moved = log_file.path.rename(log_file.path.with_name("renamed.log"))
    Log(moved).add(3)
    reading.follow(moved)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]


def test_file_that_is_renamed_after_its_path_was_changed_is_read_on(log_file, reading):
    log_file.add(1, 2)
    reading.read()
    path = log_file.path.with_name("renamed.log")
    reading.follow(path)
    assert reading.read() == [1.0, 2.0]
    log_file.path.rename(path)
    Log(path).add(3)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]


def test_two_files_that_begin_alike_are_two(log_file, reading):
    log_file.add(1, 2)
    reading.read()
    other = Log(log_file.path.with_name("other.log"))
    other.add(1, 2, 3)
    reading.follow(other.path)
    assert reading.read(LOOKS) == [1.0, 2.0, 1.0, 2.0, 3.0]


def test_large_copy_under_another_path_is_read_on(log_file, reading):
    numbers = list(range(200))
    log_file.add(*numbers)
    reading.read()
    other = Log(log_file.path.with_name("other.log"))
    other.add(*numbers, 200)
    reading.follow(other.path)
    assert reading.read(LOOKS) == [float(number) for number in range(201)]


# -- the name and what it stands for ---------------------------------------------------------


def test_same_number_but_another_file(log_file, reading, log):
    log_file.add(1, 2)
    reading.read()
    log_file.path.write_text('{"value": 7}\n{"value": 8}\n{"value": 9}\n')
    reading.start()
    assert reading.read(LOOKS) == [1.0, 2.0, 7.0, 8.0, 9.0]
    assert "is gone, and with it what was not read yet" in log.warnings()[0]


def test_file_that_is_gone_and_made_anew(log_file, reading, log):
    log_file.add(1)
    reading.read()
    log_file.path.unlink()
    log_file.add(2)
    assert reading.read(LOOKS) == [1.0, 2.0]


def test_name_is_a_link_that_leads_elsewhere_by_now(tmp_path, log):
    old, new, name = tmp_path / "a" / "1.log", tmp_path / "2.log", tmp_path / "now.log"
    old.parent.mkdir()
    old.write_text('{"value": 1}\n')
    name.symlink_to(old)
    reading = Reading(name)
    reading.read()
    Log(old).add(2)
    new.write_text('{"value": 3}\n')
    name.unlink()
    name.symlink_to(new)
    assert reading.read(LOOKS) == [1.0, 2.0, 3.0]


def test_name_is_a_link_that_was_moved_on_twice_meanwhile(tmp_path):
    def day(number):
        return tmp_path / f"m-2026112{number}.log"

    link = tmp_path / "m.log"

    def lead_to(number):
        link.unlink(missing_ok=True)
        link.symlink_to(day(number).name)

    log_file = Log(link)
    lead_to(0)
    log_file.add(0, 1)
    reading = Reading(link)
    reading.read()
    log_file.add(2)
    for number in (1, 2):
        lead_to(number)
        log_file.add(10 * number, 10 * number + 1)
    for name in ("n-20261121.log", "m7-20261121.log", "m-20261121x.log"):
        (tmp_path / name).write_text('{"value": 99}\n')
    reading.start()
    assert reading.read(6) == [0, 1, 2, 10, 11, 20, 21]


def test_position_of_an_earlier_version_is_one(log_file, reading):
    log_file.add(*range(5))
    reading.read()
    ((source, position),) = reading.shelf.positions.items()
    stored = json.loads(position)
    del stored["read"]
    reading.shelf.positions[source] = json.dumps(stored)
    reading.start()
    log_file.add(5)
    assert reading.read() == list(range(6))


def test_position_of_another_adapter_is_none(log_file, reading):
    log_file.add(1)
    for position in ('{"mode": "replay", "offset": 9}', "5", "[]", "not JSON"):
        reading.shelf.positions[reading.feed.source] = position
        reading.start()
        reading.read()
    assert reading.shelf.values == [1.0] * 4


# -- start -----------------------------------------------------------------------------------


def test_start_at_the_end_reads_what_comes_from_now_on(log_file):
    log_file.write('{"value": 1}\n{"value": 2}\n{"val')
    reading = Reading(log_file.path, start="end")
    assert reading.read() == []
    reading.start()  # before anything was stored
    log_file.write('ue": 3}\n')
    log_file.add(4)
    assert reading.read() == [3.0, 4.0]


def test_start_at_the_end_reads_a_file_whole_that_comes_later(log_file):
    reading = Reading(log_file.path, start="end")
    reading.read()
    log_file.add(1)
    reading.start()
    assert reading.read() == [1.0]


def test_file_that_comes_and_is_moved_away_between_two_looks_is_read(log_file):
    log_file.path.with_name("meter.log.1").write_text('{"value": 99}\n')
    log_file.date(log_file.path.with_name("meter.log.1"))
    reading = Reading(log_file.path, start="end")
    reading.read()
    log_file.add(1)
    log_file.move_away()
    log_file.add(2)
    log_file.move_away()
    reading.start()
    assert reading.read(LOOKS) == []
    log_file.add(3)
    assert reading.read(4 * LOOKS) == [1.0, 2.0, 3.0]


# -- faults ----------------------------------------------------------------------------------


def test_file_that_is_not_there_is_waited_for_and_logged_once(log_file, reading, log):
    reading.read(5)
    assert reading.problem == f"{log_file.path} is not there"
    log_file.add(1)
    assert reading.read() == [1.0]
    assert reading.problem == ""
    assert log.warnings() == [f"device log: {log_file.path} is not there; trying again"]
    assert len(log.having("and 5 failed attempts")) == 1


def test_what_is_no_plain_file_is_refused_until_it_is_one(tmp_path, log):
    path = tmp_path / "meter.log"
    os.mkfifo(path)
    reading = Reading(path)
    reading.read(3)
    assert reading.problem == f"{path}: is no plain file"
    path.unlink()
    path.mkdir()
    reading.read(3)
    path.rmdir()
    Log(path).add(1)
    assert reading.read() == [1.0]
    assert log.warnings() == [
        f"device log: {path}: is no plain file; trying again",
        f"device log: {path}: Is a directory; trying again",
    ]


def test_file_that_may_not_be_read_is_waited_for(tmp_path, log):
    folder = tmp_path / "closed"
    folder.mkdir()
    log_file = Log(folder / "meter.log")
    log_file.add(1)
    reading = Reading(log_file.path)
    folder.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        reading.read(2)
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
    assert reading.problem == f"{log_file.path}: Permission denied"
    assert reading.read() == [1.0]
    assert len(log.warnings()) == 1


def test_disk_that_fails_while_reading_is_an_obstacle_and_nothing_is_lost(log_file, reading):
    log_file.add(1)
    reading.read()
    log_file.add(2)
    unreadable = os.open(os.devnull, os.O_WRONLY)
    os.dup2(unreadable, reading.adapter._following._file._file)  # as if the mount had gone
    os.close(unreadable)
    reading.adapter.step()
    assert "Bad file descriptor" in reading.problem
    assert reading.read(2) == [1.0, 2.0]
    assert reading.problem == ""


# -- with a thread and a real store ------------------------------------------------------------


class Running(Site):
    """A device on a store of its own, whose thread runs."""

    def begin(self, table):
        self.feed = Feed(table, self.ingest.put, self.store.receipts.positions, self.clock)
        self.adapter = create_adapter(table, self.clock)
        self.thread = threading.Thread(target=self.adapter.run, args=(self.feed,), daemon=True)
        self.thread.start()

    def end(self):
        self.adapter.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def wait_for_values(self, *values):
        def are_there():
            self.ingest.run()
            return [row[1] for row in self.seen()] == list(values)

        wait_for(are_there, f"{values}")


@pytest.fixture
def running(tmp_path):
    made = Running(tmp_path / "edge.db")
    yield made
    made.store.close()


def test_readings_and_place_are_stored_together(running, log_file):
    table = file_device(log_file.path, time_path="", interval_seconds=0.01)
    log_file.add(1)
    running.begin(table)
    running.wait_for_values(1.0)
    assert json.loads(running.feed.position())["offset"] == log_file.path.stat().st_size
    log_file.add(2)
    wait_for(lambda: running.feed.submitted_total == 2, "the submission")
    running.store.abandon()  # a kill before the commit
    running.end()
    running.start(running.path)
    running.begin(table)
    running.wait_for_values(1.0, 2.0)
    log_file.add(3)
    running.wait_for_values(1.0, 2.0, 3.0)
    running.end()


def test_stop_ends_a_wait_for_the_store(running, log_file):
    log_file.add(1)
    running.begin(file_device(log_file.path, time_path=""))
    wait_for(lambda: running.feed.submitted_total == 1, "the submission")
    running.end()


def test_adapter_that_is_replaced_before_its_commit_doubles_nothing(running, log_file):
    table = file_device(log_file.path, time_path="", interval_seconds=0.01)
    log_file.add(1)
    running.begin(table)
    wait_for(lambda: running.feed.submitted_total == 1, "the submission")
    running.end()
    running.begin(table)  # the first one's submission is still on its way
    wait_for(lambda: running.feed.submitted_total == 1, "the second submission")
    log_file.add(2)
    running.wait_for_values(1.0, 2.0)
    running.end()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("is_meddled_with", [False, True])
def test_every_number_once_whatever_happens(tmp_path, seed, is_meddled_with):
    """Also if somebody copies files, and touches those that were moved away."""
    rng = random.Random(seed)
    log_file = Log(tmp_path / "meter.log")
    log_file.add()
    reading = Reading(log_file.path)
    reading.read()
    number, rest, ways = 0, b"", set()
    for _ in range(200):
        act = rng.random()
        if act < 0.5:
            count = rng.randrange(1, 30)
            data = rest + b"".join(b'{"value": %d}\n' % n for n in range(number, number + count))
            number += count
            cut = rng.randrange(len(data)) if rng.random() < 0.3 else len(data)
            log_file.write(data[:cut])
            rest = data[cut:]
        elif act < 0.8:
            reading.read()
        elif act < 0.9:
            reading.start()
            reading.shelf.give_up = rng.choice((0, 0, 1))
        elif not rest and log_file.path.exists():
            away = rng.choice((log_file.move_away, log_file.cut_off))
            if is_meddled_with:
                reading.shelf.give_up = 0
                reading.read(8)
                away = rng.choice((away, log_file.copy_and_delete, log_file.back_up))
            ways.add(away.__name__)
            away()
            if is_meddled_with and rng.random() < 0.3 and log_file.moved(1).exists():
                reading.read(8)
                log_file.touch(rng.choice((".1", ".2") if log_file.moved(2).exists() else (".1",)))
    log_file.write(rest)
    reading.read(200)
    assert reading.shelf.values == [float(n) for n in range(number)]
    assert reading.feed.rejected_total == 0
    assert len(ways) >= 2


def test_reload_while_lines_come_loses_and_doubles_nothing(log_file, agents, write_config):
    """Each time the device has another interval, and so another adapter."""

    def config(turn):
        device = {"name": "log", "ingest_type": "file", "path": str(log_file.path)}
        device |= {"time_path": "", "interval_seconds": 0.01 + turn / 1000}
        return write_config([device], storage={"commit_interval_ms": 20})

    log_file.add(0)
    agent = agents(config(0))
    agent.start()
    stopping, numbers = threading.Event(), [1]

    def write():
        while not stopping.wait(0.001):
            log_file.add(numbers[0])
            numbers[0] += 1

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        for turn in range(1, 9):
            before = agent._readings_processed
            wait_for(lambda before=before: agent._readings_processed > before, "a reading")
            config(turn)
            assert agent.reload_config().changed == ("sensors.devices[log]",)
    finally:
        stopping.set()
        writer.join(10)
    wait_for(lambda: agent._readings_processed >= numbers[0], "the rest")
    found = [row["value"] for row in agent.store.readings(limit=numbers[0] + 10)]
    assert sorted(found) == [float(number) for number in range(numbers[0])]


def test_type_is_made_by_its_mode(tmp_path):
    assert type(create_adapter(file_device("x"), FakeClock())) is FileTailAdapter
