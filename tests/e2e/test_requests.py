"""A running agent asks real firmware for things, gives it settings, and shares a key with it."""

import json
from binascii import crc32

import pytest
from pyv_edge_agent.link_state import UP
from pyv_edge_agent.main import EdgeAgent
from pyv_edge_agent.store import read_ledger
from rig import board_settings, make_board, serial_device, wait_for

ANSWER_S = 30
KEY = "a key that both of them have"


class Site:
    """One board and the agent beside it, in this process."""

    def __init__(self, folder, *, device=None, **settings):
        self.board = make_board(folder, "b1", sample_for_ms=0, **settings)
        self.flash = self.board.folder / "flash"
        self.db = folder / "data" / "edge_store.db"
        config = {
            "health": {"enabled": False},
            "time": {"source": "trusted"},
            "storage": {"path": str(self.db), "commit_interval_ms": 100},
            "logging": {"level": "INFO"},
            "sensors": {"devices": [{**serial_device("b1", self.board.path), **(device or {})}]},
        }
        path = folder / "agent.json"
        path.write_text(json.dumps(config))
        self.agent = EdgeAgent(config_path=str(path))

    def __enter__(self):
        self.board.start()
        self.agent.start()
        return self

    def __exit__(self, *_):
        self.agent.stop()
        self.board.kill()

    @property
    def link(self):
        return self.agent.links[0]

    def hello(self):
        """Return the HELLO of the board that is up, None if none is."""
        return self.link.session.hello if self.link.state == UP else None

    def wait_up(self, but_boot=None):
        """Return the HELLO of a board that is up, of another boot than `but_boot`."""

        def found():
            hello = self.hello()
            return hello if hello is not None and hello.boot != but_boot else None

        return wait_for(found, "a board that is up")

    def ask(self, *what):
        """Return (outcome's name, value, text) of a command."""
        outcome = self.agent.command("b1", *what).result(ANSWER_S)
        return outcome.name, outcome.value, outcome.text

    def stored(self):
        return read_ledger(self.db).total("stored")

    def check(self):
        """After the end: every number of every boot is accounted for."""
        ledger = read_ledger(self.db)
        assert ledger.is_balanced and ledger.total("duplicates") == 0
        assert ledger.total("lost") == 0


def test_commands_are_carried_out_by_real_firmware(tmp_path):
    with Site(tmp_path, interval_ms=60_000) as site:
        first = site.wait_up()
        assert site.ask("identify")[0] == "done"
        count = len(site.link.dialogue.channels)
        assert site.ask("read_now") == ("done", count, "")
        wait_for(lambda: site.stored() == 2 * count, "what was read, then and at the start")
        assert site.ask("set_rate", "temperature", 20) == ("done", 20, "")
        wait_for(lambda: site.stored() >= 50, "readings at the new rate")
        assert site.ask("set_rate", "temperature", 0)[0] == "failed"
        assert site.ask("safe_mode", None, 1) == ("done", 1, "")
        before = site.ask("read_now")
        assert before[0] == "failed" and "safe mode" in before[2]
        assert site.ask("safe_mode", None, 0) == ("done", 0, "")
        assert site.ask("reset") == ("done", 0, "")
        second = site.wait_up(first.boot)
        assert second.config_hash == first.config_hash
        assert site.link.status()["requests"]["done_total"] == 6
    site.check()


def test_settings_are_given_to_the_board_and_come_up(tmp_path):
    wanted = board_settings("b1", sample_for_ms=0, interval_ms=30)
    del wanted["sensors"][1]
    content = json.dumps(wanted).encode()
    (tmp_path / "b1.json").write_bytes(content)
    with Site(tmp_path, device={"settings_file": str(tmp_path / "b1.json")}) as site:
        first = site.wait_up()
        second = site.wait_up(first.boot)
        assert second.config_hash == crc32(content) != first.config_hash
        assert (site.flash / "device.json").read_bytes() == content
        wait_for(lambda: not (site.flash / "device.json.trial").exists(), "the end of the trial")
        wait_for(lambda: site.link.status()["settings"]["came_up_total"] == 1, "what came of it")
        assert site.link.problem == ""
        stored = site.stored()
        wait_for(lambda: site.stored() > stored + 20, "readings under the new settings")
    site.check()


def test_settings_that_do_not_come_up_are_taken_back(tmp_path):
    wanted = board_settings("b1", sample_for_ms=0)
    wanted["sensors"] = [{"type": "of another planet", "interval_ms": 100}]
    (tmp_path / "b1.json").write_text(json.dumps(wanted))
    with Site(tmp_path, device={"settings_file": str(tmp_path / "b1.json")}) as site:
        before = (site.flash / "device.json").read_bytes()
        first = site.wait_up()
        wait_for(lambda: site.link.status()["settings"]["not_up_total"] == 2, "its coming back")
        second = site.wait_up(first.boot)
        assert second.config_hash == first.config_hash
        assert (site.flash / "device.json").read_bytes() == before
        assert "did not come up" in site.link.problem
        stored = site.stored()
        wait_for(lambda: site.stored() > stored + 20, "readings as before")
        assert site.link.status()["settings"]["pushes_total"] == 2
    site.check()


@pytest.mark.parametrize("board_key", [KEY, KEY + "!", None])
def test_link_with_a_key(tmp_path, board_key):
    (tmp_path / "key").write_text(KEY + "\n")
    settings = {}
    if board_key is not None:
        (tmp_path / "board.key").write_text(board_key)
        settings["link_key_file"] = str(tmp_path / "board.key")
    with Site(tmp_path, device={"link_key_file": str(tmp_path / "key")}, **settings) as site:
        if board_key == KEY:
            site.wait_up()
            assert site.ask("identify")[0] == "done"
            wait_for(lambda: site.stored() >= 100, "sealed readings")
            assert site.link.status()["forged_total"] == 0
            assert site.link.status()["unsealed_total"] == 0
        else:
            counter = "unsealed_total" if board_key is None else "forged_total"
            wait_for(lambda: site.link.status()[counter] >= 3, "messages that are refused")
            wait_for(lambda: "key" in site.link.problem, "the reason")
            assert site.hello() is None
        assert KEY not in json.dumps(site.link.status())
    if board_key == KEY:
        site.check()
