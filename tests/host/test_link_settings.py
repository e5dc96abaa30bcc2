"""Settings that a link gives its board: when, how often, and what is said if it goes wrong."""

import json
import os
from binascii import crc32

import pytest
from host.link_rig import Rig
from pyv_edge_agent.board_request import Outcome
from pyv_edge_agent.settings_file import (
    AGAIN_MS,
    BOARDS_MAX,
    NOT_UP_MAX,
    REFUSALS_MAX,
    SettingsFile,
)
from pyv_edge_core import message
from pyv_edge_core.request import CONFIG_SIZE_MAX

OLD = 0x01D01D01
BOOTS = range(0x1000_0001, 0x1000_0100)


class Bench(Rig):
    """A rig whose link has a settings file."""

    def __init__(self, path, content=b'{"device_id": "board-1"}', **board):
        self.path = path
        self.content = content
        if content is not None:
            path.write_bytes(content)
        super().__init__(settings_file=path, config_hash=OLD, **board)
        self.board.answer = (message.RESULT_DONE, 0, "")
        self._boots = iter(BOOTS)

    @property
    def crc(self):
        return crc32(self.content)

    def come_up(self, config_hash):
        """Restart the board with settings of that hash, and let it be welcomed."""
        answer = self.board.answer
        self.reboot(next(self._boots), config_hash=config_hash)
        self.board.answer = answer
        self.pump(600, ms=20)

    def write(self, content):
        """Change the file, and its time of change however coarse the file system's is."""
        self.content = content
        changed = self.path.stat().st_mtime_ns + 10**9 if self.path.exists() else 10**18
        self.path.write_bytes(content)
        os.utime(self.path, ns=(changed, changed))

    @property
    def counters(self):
        counters = self.link.status()["settings"]
        return tuple(counters[f"{name}_total"] for name in ("pushes", "came_up", "not_up"))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "board.json")


def test_board_with_other_settings_is_given_the_file(bench, log):
    bench.pump(300)
    assert bytes(bench.board.document) == bench.content
    assert bench.counters == (1, 0, 0)
    bench.come_up(bench.crc)
    assert bytes(bench.board.document) == b""
    assert bench.counters == (1, 1, 0)
    assert bench.link.problem == ""
    assert log.warnings() == []


def test_board_that_has_them_is_left_alone(tmp_path):
    content = b'{"x": 1}'
    rig = Bench(tmp_path / "board.json", content)
    rig.reboot(5, config_hash=crc32(content))
    rig.pump(100)
    assert rig.counters == (0, 0, 0)


def test_link_without_a_file_pushes_nothing():
    rig = Rig(config_hash=OLD).up()
    rig.board.answer = (message.RESULT_DONE, 0, "")
    rig.pump(100)
    assert rig.board.requests == []
    assert rig.link.status()["settings"] == {}


def test_greeting_again_before_the_restart_pushes_nothing_again(bench):
    bench.pump(300)
    bench.board.greet_anew()
    bench.pump(300)
    assert bench.counters == (1, 0, 0)


def test_settings_that_do_not_come_up_are_not_pushed_again(bench, log):
    bench.pump(300)
    for _ in range(NOT_UP_MAX + 2):
        bench.come_up(OLD)
    assert bench.counters == (NOT_UP_MAX, 0, NOT_UP_MAX)
    problem = bench.link.status()["problem"]
    assert "the board did not come up with it and has gone back to 01d01d01" in problem
    assert str(bench.path) in problem and problem.endswith("change the file")
    assert len(log.having("did not come up")) == NOT_UP_MAX


def test_another_board_is_not_blamed_for_what_the_first_has_taken(tmp_path):
    path = tmp_path / "board.json"
    path.write_bytes(b"{}")
    settings = SettingsFile(path)
    done = Outcome(message.RESULT_DONE, "done", 0, "")
    assert settings.greeted("a", 1, OLD) == b"{}"
    settings.answered("a", 1, done)
    assert settings.greeted("b", 2, OLD) == b"{}"
    assert (settings.problem, settings.not_up_total) == ("", 0)
    for number in range(BOARDS_MAX):
        assert settings.greeted(f"c{number}", 3, OLD) == b"{}"
    assert settings.greeted("a", 4, OLD) == b"{}"  # it is forgotten by now
    assert settings.not_up_total == 0


def test_changed_file_is_pushed_though_the_one_before_did_not_come_up(bench):
    bench.pump(300)
    for _ in range(NOT_UP_MAX):
        bench.come_up(OLD)
    bench.write(b'{"device_id": "board-1", "better": true}')
    bench.come_up(OLD)
    assert bench.counters == (NOT_UP_MAX + 1, 0, NOT_UP_MAX)
    assert bytes(bench.board.document) == bench.content
    bench.come_up(bench.crc)
    assert bench.counters == (NOT_UP_MAX + 1, 1, NOT_UP_MAX)
    assert bench.link.problem == ""


def test_file_that_was_only_touched_is_the_same(bench):
    bench.pump(300)
    for _ in range(NOT_UP_MAX):
        bench.come_up(OLD)
    bench.write(bench.content)
    bench.come_up(OLD)
    assert bench.counters == (NOT_UP_MAX, 0, NOT_UP_MAX)
    assert "did not come up" in bench.link.problem


def test_board_that_refuses_them_is_asked_at_most_three_times(bench, log):
    bench.board.answer = (message.RESULT_FAILED, 0, "sensors[0].kind: 'bme281' is unknown")
    bench.pump(300)
    problem = bench.link.problem
    assert problem.endswith("failed: sensors[0].kind: 'bme281' is unknown; tried again")
    for _ in range(REFUSALS_MAX + 2):
        bench.come_up(OLD)
    assert bench.counters == (REFUSALS_MAX, 0, 0)
    assert bench.link.problem.endswith("'bme281' is unknown; change the file")
    assert bench.link.status()["requests"]["failed_total"] == REFUSALS_MAX
    assert log.having("settings") != []


def test_push_whose_answer_got_lost_is_repeated_and_blames_nobody(bench):
    bench.board.answer = None
    for _ in range(REFUSALS_MAX + 1):
        bench.come_up(OLD)
    assert bench.counters[2] == 0
    assert bench.link.problem.endswith("the board restarted before it answered; tried again")
    pushes = bench.counters[0]
    bench.board.answer = (message.RESULT_DONE, 0, "")
    bench.pump(20 * AGAIN_MS // 1000, ms=100)
    bench.come_up(bench.crc)
    assert bench.counters == (pushes, 1, 0)
    assert bench.link.problem == ""


def test_board_that_stays_up_is_asked_again_after_a_while(bench):
    bench.board.answer = (message.RESULT_FAILED, 0, "not enough memory")
    bench.pump(300)
    assert bench.counters == (1, 0, 0)
    bench.board.answer = (message.RESULT_DONE, 0, "")
    bench.pump(AGAIN_MS // 100 - 100, ms=100)
    assert bench.counters == (1, 0, 0)
    bench.pump(300, ms=100)
    assert bench.counters == (2, 0, 0)
    assert bench.link.problem == ""


def test_board_of_another_link_is_not_given_them(tmp_path):
    rig = Bench(tmp_path / "board.json")
    rig.answers = False  # the agent does not welcome it
    rig.pump(300)
    assert rig.counters == (0, 0, 0)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"{", "is not JSON: "),
        (b"\xff", "is not JSON: "),
        (b"[1]", "must hold a JSON object"),
        (b'{"a": "' + b"x" * CONFIG_SIZE_MAX + b'"}', "has more than 8192 bytes"),
        (b"[" * 8000, "is not JSON: "),
        (b"", "is not JSON: "),
        (b'{"link_key": "of 16 bytes or more"}', "holds link_key: a key must not go over the"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_file_that_no_board_could_use(tmp_path, log, content, wanted):
    rig = Bench(tmp_path / "board.json", content)
    rig.pump(300)
    assert rig.counters == (0, 0, 0)
    assert f"settings_file {rig.path} {wanted}" in rig.link.problem
    assert len(log.warnings()) == 1
    rig.write(b'{"fine": true}')
    rig.come_up(OLD)
    assert rig.counters == (1, 0, 0)
    assert rig.link.problem == ""


def test_largest_file_is_pushed_whole(tmp_path):
    content = json.dumps({"a": "x" * (CONFIG_SIZE_MAX - 9)}).encode()
    assert len(content) == CONFIG_SIZE_MAX
    rig = Bench(tmp_path / "board.json", content)
    rig.pump(4000)
    assert bytes(rig.board.document) == content


def test_broken_file_does_not_take_back_what_was_taken_over(tmp_path):
    path = tmp_path / "board.json"
    path.write_bytes(b"{}")
    settings = SettingsFile(path)
    assert settings.greeted("b", 1, OLD) == b"{}"
    path.write_bytes(b"broken")
    os.utime(path, ns=(10**18, 10**18))
    assert settings.greeted("b", 2, OLD) == b""
    assert "is not JSON" in settings.problem
    path.write_bytes(b"{}")
    os.utime(path, ns=(2 * 10**18, 2 * 10**18))
    assert settings.greeted("b", 3, OLD) == b"{}"
    assert settings.problem == ""
