"""Settings that a link gives its board: when, how often, and what is said if it goes wrong."""

import json
import os
from binascii import crc32

import pytest
from host.link_rig import Rig
from pyv_edge_agent.settings_file import TRIES_MAX, SettingsFile
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
    for _ in range(4):
        bench.come_up(OLD)
    assert bench.counters == (1, 0, 1)
    problem = bench.link.status()["problem"]
    assert "the board did not come up with it and has gone back to 01d01d01" in problem
    assert str(bench.path) in problem
    assert len(log.having("did not come up")) == 1


def test_changed_file_is_pushed_though_the_one_before_did_not_come_up(bench):
    bench.pump(300)
    bench.come_up(OLD)
    bench.write(b'{"device_id": "board-1", "better": true}')
    bench.come_up(OLD)
    assert bench.counters == (2, 0, 1)
    assert bytes(bench.board.document) == bench.content
    bench.come_up(bench.crc)
    assert bench.counters == (2, 1, 1)
    assert bench.link.problem == ""


def test_file_that_was_only_touched_is_the_same(bench):
    bench.pump(300)
    bench.come_up(OLD)
    bench.write(bench.content)
    bench.come_up(OLD)
    assert bench.counters == (1, 0, 1)
    assert "did not come up" in bench.link.problem


def test_board_that_refuses_them_is_asked_at_most_three_times(bench, log):
    bench.board.answer = (message.RESULT_FAILED, 0, "sensors[0].kind: 'bme281' is unknown")
    bench.pump(300)
    problem = bench.link.problem
    assert "failed: sensors[0].kind: 'bme281' is unknown; tried again at its next HELLO" in problem
    for _ in range(TRIES_MAX + 2):
        bench.come_up(OLD)
    assert bench.counters == (TRIES_MAX, 0, 0)
    assert bench.link.problem.endswith("'bme281' is unknown; change the file")
    assert bench.link.status()["requests"]["failed_total"] == TRIES_MAX
    assert log.having("settings") != []


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
    assert settings.greeted(1, OLD) == b"{}"
    path.write_bytes(b"broken")
    os.utime(path, ns=(10**18, 10**18))
    assert settings.greeted(2, OLD) == b""
    assert "is not JSON" in settings.problem
    path.write_bytes(b"{}")
    os.utime(path, ns=(2 * 10**18, 2 * 10**18))
    assert settings.greeted(3, OLD) == b"{}"
    assert settings.problem == ""
