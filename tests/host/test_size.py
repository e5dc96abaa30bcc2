"""size: sums that agree with one another, with what was measured and with what is recorded."""

import json

import pytest
from host.command import run_host
from host.store_rig import StoreRig
from pyv_edge_agent import exit_status, sizing
from pyv_edge_agent.cli import make_parser, size
from pyv_edge_agent.config import Config
from pyv_edge_agent.sizing import Load
from pyv_edge_agent.store.extract import Recorded, recorded
from pyv_edge_agent.store.reader import StoreReader
from pyv_edge_node import page

GB = 1e9


def sizes(*words, recorded=None, **sections):
    args = make_parser(["size"]).parse_args(["size", *words])
    return size.sizes(args, Config(sections), recorded)


def test_what_was_measured_is_what_comes_out():
    for rows, written in sizing.COMMIT_SIZES:
        load = Load(rows, commit_max=1000)
        assert load.written_per_reading * rows == pytest.approx(written)
        assert load.commits_per_s == pytest.approx(1)
    between = Load(200, commit_max=1000).written_per_reading * 200
    assert 17_990 < between < 31_660


def test_commits_are_by_time_or_by_number():
    assert (Load(100).commits_per_s, Load(100).commit_rows) == (1, 100)
    assert (Load(100, commit_interval_ms=2000).commits_per_s) == 0.5
    assert (Load(2000).commits_per_s, Load(2000).commit_rows) == (4, 500)
    assert (Load(0.1).commits_per_s, Load(0.1).commit_rows) == (0.1, 1)  # none without a reading
    assert Load(0.1).written_per_reading == 7780


def test_fewer_commits_write_less_and_sinks_write_more():
    assert Load(10, commit_interval_ms=2000).written_per_day < Load(10).written_per_day
    assert Load(10, has_sink=False).written_per_day < Load(10).written_per_day
    assert Load(10, channels=32).file_per_day > Load(10).file_per_day


def test_the_sums_agree():
    found = sizes("--rate", "100", "--card-gb", "64", "--cycles", "3000", "--amplification", "10")
    assert found["written_bytes_per_day"] == pytest.approx(
        found["written_bytes_per_reading"] * 100 * 86_400
    )
    assert found["card_years"] * found["written_bytes_per_day"] * 10 * 365 == pytest.approx(
        64 * GB * 3000
    )
    assert found["file_bytes_per_year"] == found["file_bytes_per_day"] * 365
    assert found["ring_s"] == pytest.approx(20.48)
    assert sizes("--rate", "100", "--boards", "4", "--ring", "4096")["ring_s"] == pytest.approx(
        163.84
    )


def test_room_is_the_cap_or_what_the_card_has():
    found = sizes("--rate", "100", storage={"max_mb": 1000, "high_water": 0.5, "low_water": 0.4})
    assert found["room_bytes"] == 1000 * 1_048_576
    assert found["room_days"] * found["file_bytes_per_day"] == pytest.approx(500 * 1_048_576)
    assert found["kept_days"] == found["room_days"]
    assert sizes("--rate", "100", "--room-mb", "2000")["room_bytes"] == 2000 * 1_048_576
    card = sizes("--rate", "100", "--card-gb", "16", storage={"min_free_mb": 500})
    assert card["room_bytes"] == 16 * GB - 500 * 1_048_576
    assert sizes("--rate", "1", "--card-gb", "0.1")["room_bytes"] == 0


def test_what_is_kept_is_limited_by_age_and_by_room():
    assert sizes("--rate", "1", "--days", "30")["kept_days"] == 30
    assert sizes("--rate", "1", policies={"keep_days": 14})["kept_days"] == 14
    tight = sizes("--rate", "1000", "--days", "30", "--room-mb", "100")
    assert tight["kept_days"] == tight["room_days"] < 30


def test_options_come_before_the_record_and_that_before_the_configuration():
    known = Recorded(25.0, 3600.0, 7, 2)
    found = sizes(recorded=known, storage={"commit_interval_ms": 500})
    assert (found["readings_per_s"], found["channels"], found["boards"]) == (25.0, 7, 2)
    assert found["commits_per_s"] == 2
    found = sizes("--rate", "50", "--channels", "3", "--interval-ms", "2000", recorded=known)
    assert (found["readings_per_s"], found["channels"]) == (50.0, 3)
    assert found["commits_per_s"] == 0.5


def test_record_is_of_the_last_hour(tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    reader = StoreReader(rig.path)
    assert recorded(reader) is None
    rig.add(1)
    assert recorded(reader) is None  # of one reading there is no rate
    rig.mixed(20_000, step_ms=100)
    rig.upkeep.blocks.seal()
    rig.clock.advance(7_200_000)
    rig.mixed(301, step_ms=2000)
    found = recorded(reader)
    assert (found.rate_hz, found.channels, found.devices) == (0.5, 3, 1)
    reader.close()
    rig.close()


@pytest.mark.parametrize(
    ("number", "text"),
    [(7780, "7.8 kB"), (928, "930 bytes"), (90.2, "90 bytes"), (1.55e9, "1.6 GB"), (3e12, "3 TB")],
)
def test_sizes_as_people_say_them(number, text):
    assert sizing.show_size(number) == text


@pytest.mark.parametrize(
    ("time_s", "text"),
    [(0, "0 seconds"), (82, "82 seconds"), (2048, "34 minutes"), (86_400 * 3, "3 days")]
    + [(86_400 * 365 * 2.8, "2.8 years"), (7200, "2 hours")],
)
def test_times_as_people_say_them(time_s, text):
    assert sizing.show_time(time_s) == text


def test_command_tells_for_people_and_for_programs(tmp_path):
    rig = StoreRig(tmp_path / "edge.db")
    rig.mixed(301, step_ms=500)
    rig.close()
    (tmp_path / "edge.toml").write_text('[storage]\npath = "edge.db"\n')
    found = json.loads(run_host("size", "--json", cwd=tmp_path).stdout)
    assert (found["readings_per_s"], found["channels"]) == (2, 3)
    lines = run_host("size", cwd=tmp_path).stdout.splitlines()
    assert lines[0] == "2 readings/s, 3 channels, 1 commits/s"
    assert len(lines) == len(size._LINES)
    assert run_host("size", "--db", "edge.db", cwd=tmp_path).stdout.splitlines() == lines


@pytest.mark.parametrize(
    ("args", "status", "problem"),
    [
        ((), exit_status.USAGE, "--rate: how many readings a second?"),
        (("--rate", "0"), exit_status.USAGE, "0 is outside 1e-06..1e+06"),
        (("--rate", "x"), exit_status.USAGE, "invalid number value: 'x'"),
        (("--db", "no.db"), exit_status.REFUSED, "no.db: there is no store"),
    ],
)
def test_what_can_not_be_calculated_is_told(tmp_path, args, status, problem):
    done = run_host("size", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert problem in done.stderr.splitlines()[-1]


def test_pages_on_a_boards_flash_hold_more_and_wear_it():
    assert sizing.PAGE_READINGS == page.PAGE_RECORDS
    assert sizing.PAGE_KB * 1024 == page.PAGE_SIZE
    assert "spill_s" not in sizes("--rate", "1")
    found = sizes("--rate", "8", "--boards", "4", "--ring", "1024", "--spill-kb", "64")
    assert found["spill_readings"] == 15 * 448  # one of sixteen is for the channel table
    assert found["spill_s"] == (1024 + 15 * 448) / 2
    assert found["page_hours"] == 24  # 2 readings a second are 386 pages a day
    fast = sizes("--rate", "100", "--spill-kb", "64", "--pages-per-day", "100")
    assert fast["page_hours"] == pytest.approx(100 * 448 / 100 / 3600)
    worn = sizes("--rate", "1", "--spill-kb", "64", "--flash-kb", "400", "--flash-cycles", "1000")
    # A hundred blocks, a thousand times each; two are erased for each of a thousand pages a day.
    assert worn["flash_years"] * 365 == pytest.approx(100 * 1000 / 2000)


def test_lines_of_pages_come_only_with_them():
    plain = size.lines(sizes("--rate", "2"))
    paged = size.lines(sizes("--rate", "2", "--spill-kb", "128"))
    assert paged[: len(plain)] == plain
    assert [line.split("  ")[0] for line in paged[len(plain) :]] == [
        "with a flash",
        "pages",
        "flash lasts",
    ]
