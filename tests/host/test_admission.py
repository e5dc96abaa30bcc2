"""Which board may speak where: real links, a real store, boards of the core on fake ports."""

import random
import threading
from binascii import crc32

import pytest
from host.fakes import FakeBoard, FakeClock, FakePort, FixedRandom, hello, serial_device
from pyv_edge_agent.admission import HEARD_MS, Pin, pins
from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.ingest import Ingest
from pyv_edge_agent.link import TWICE_MS, SerialLink
from pyv_edge_agent.link_state import HANDSHAKING, SEARCHING, SILENT, UP
from pyv_edge_agent.pipeline import Pipeline
from pyv_edge_agent.recent import Recent
from pyv_edge_agent.store import SQLiteStore, read_ledger
from pyv_edge_core import device_states, message, session
from pyv_edge_core.frame import encode
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.rule import read_rules


class Line:
    """A link, and the board at its far end."""

    def __init__(self, name, clock, inbox):
        self.port = FakePort(f"/dev/{name}")
        self.link = SerialLink(name, self.port, clock, FixedRandom(), inbox)
        self.board = None

    def step(self):
        self.link.step()
        if self.board is not None and self.port.is_open:
            self.board.exchange(self.port)

    def plug(self, board):
        """Put a board, or none, at the far end without the port noticing, as on a UART."""
        self.port.take_written()
        self.port.incoming.clear()
        self.board = board


class Site:
    """An agent's ingest with two lines, `porch` and `cellar`."""

    def __init__(self, path, **pinned):
        self.path = path
        self.clock = FakeClock()
        self.store = SQLiteStore(path)
        self.boots = iter(range(0x10000001, 0x20000000))
        self.begin(**pinned)

    def begin(self, **pinned):
        """Start the agent, as after a restart on the same store."""
        buffers = {name: Recent(100) for name in ("porch", "cellar")}
        alerting = Alerting(read_rules([]), self.store.rule_state)
        self.ingest = Ingest(
            self.store,
            Pipeline(PrivacyPolicy(), buffers, alerting),
            self.clock,
            random.Random(1),
            threading.Event(),
            commit_max=500,
            pins=pinned,
        )
        self.porch, self.cellar = (Line(name, self.clock, self.ingest.put) for name in buffers)

    def board(self, device, boot=None):
        return FakeBoard(self.clock, boot=boot or next(self.boots), device=device)

    def run(self, ms=3000, step_ms=20):
        for _ in range(ms // step_ms):
            for line in (self.porch, self.cellar):
                line.step()
            self.ingest.run()
            self.clock.advance(step_ms)

    def devices(self):
        return {
            (alias, device)
            for alias in ("porch", "cellar")
            for device in self.store.boards_called(alias)
        }


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "edge.db")
    yield made
    made.store.close()


@pytest.fixture
def begin(site):
    """Return a function that starts the site's agent with pins."""

    def begin(**pinned):
        site.begin(**pinned)
        return site

    return begin


def status(line, *names):
    found = line.link.status()
    return tuple(found[name] for name in names)


# -- quarantine --------------------------------------------------------------------


def test_first_board_is_taken_and_another_one_quarantined(site, log):
    site.porch.plug(site.board("pico-1"))
    site.run()
    assert site.porch.link.state == UP
    stranger = site.board("pico-2")
    stranger.sample(1, 2, 3)
    site.porch.plug(stranger)
    site.run(100_000, step_ms=100)
    assert site.porch.link.state == HANDSHAKING
    problem = "board 'pico-2' is quarantined: porch was 'pico-1' so far; connect that one, or"
    assert site.porch.link.problem.startswith(problem)
    assert site.porch.link.problem.endswith(
        "set device_id = 'pico-2', or accept_new = true for any"
    )
    assert stranger.session.state == device_states.REFUSED
    assert stranger.session.refusal.reason == session.REFUSED_DEVICE
    assert stranger.session.in_flight == 3  # it keeps what nobody has stored
    assert site.devices() == {("porch", "pico-1")}
    assert 2 <= site.porch.link.quarantined_total <= 5  # a greeting every REFUSED_S
    assert len(log.having("is quarantined")) == 1


def test_board_that_comes_back_is_taken(site):
    own = site.board("pico-1")
    site.porch.plug(own)
    site.run()
    site.porch.plug(site.board("pico-2"))
    site.run(40_000, step_ms=100)
    site.porch.plug(own)
    site.run(40_000, step_ms=100)
    assert site.porch.link.state == UP
    assert site.porch.link.problem == ""


def test_who_was_there_is_remembered_over_a_restart(site):
    site.porch.plug(site.board("pico-1"))
    site.run()
    site.begin()
    site.porch.plug(site.board("pico-2"))
    site.run()
    assert status(site.porch, "state", "quarantined_total") == (HANDSHAKING, 1)
    site.porch.plug(site.board("pico-1"))
    site.run(40_000, step_ms=100)
    assert site.porch.link.state == UP


def test_polled_device_of_the_same_name_is_no_board(site):
    device = {"name": "porch", "unit": "Cel"}
    site.ingest.boots.polled(device, site.ingest._batch)  # the alias was a simulator once
    site.porch.plug(site.board("pico-1"))
    site.run()
    assert site.porch.link.state == UP


def test_pinned_board_is_the_only_one(begin):
    site = begin(porch=Pin("pico-9"))
    site.porch.plug(site.board("pico-1"))
    site.run()
    assert site.porch.link.problem == (
        "board 'pico-1' is quarantined: device_id is 'pico-9';"
        " connect that one, or set device_id = 'pico-1'"
    )
    assert site.devices() == set()
    site.porch.plug(site.board("pico-9"))
    site.run(40_000, step_ms=100)
    assert site.porch.link.state == UP


def test_pin_takes_another_board_on_purpose(begin, site):
    site.porch.plug(site.board("pico-1"))
    site.run()
    begin(porch=Pin("pico-2"))
    site.porch.plug(site.board("pico-2"))
    site.run()
    assert site.porch.link.state == UP


def test_new_boards_are_taken_where_that_is_allowed(begin):
    site = begin(porch=Pin(accept_new=True))
    for device in ("pico-1", "pico-2", "pico-3"):
        site.porch.plug(site.board(device))
        site.run()
        assert site.porch.link.state == UP
    assert site.devices() == {("porch", "pico-1"), ("porch", "pico-2"), ("porch", "pico-3")}
    begin()  # all of these are known by then
    site.porch.plug(site.board("pico-2"))
    site.run()
    assert site.porch.link.state == UP
    site.porch.plug(site.board("pico-4"))
    site.run()
    assert site.porch.link.state == HANDSHAKING


def test_quarantined_board_gets_no_command(site):
    site.porch.plug(site.board("pico-1"))
    site.run()
    stranger = site.board("pico-2")
    stranger.answer = (message.RESULT_DONE, 0, "")
    site.porch.plug(stranger)
    site.run()
    future = site.porch.link.command("reset", timeout_ms=5000)
    site.run(10_000, step_ms=50)
    assert future.result(0).name == "not sent, the board was not there in time"
    assert stranger.requests == []


def test_store_that_fails_while_it_is_asked_is_asked_again(site, log):
    site.store.close()
    site.porch.plug(site.board("pico-1"))
    site.run(1000)
    assert site.porch.link.state == HANDSHAKING
    assert "the store is closed" in site.ingest.problem


def test_pins_are_those_of_serial_devices():
    devices = [
        serial_device("porch", device_id="pico-1"),
        serial_device("cellar", accept_new=True),
        {"name": "t1", "ingest_type": "simulator"},
    ]
    assert pins(devices) == {"porch": Pin("pico-1"), "cellar": Pin("", True)}


# -- one device id on two ports ----------------------------------------------------


def test_second_board_of_one_device_id_is_refused_and_both_lines_say_so(site, log):
    first, second = site.board("pico-1"), site.board("pico-1")
    site.porch.plug(first)
    site.run()
    site.cellar.plug(second)
    second.sample(5)
    site.run(30_000, step_ms=50)
    assert site.porch.link.state == UP
    assert site.cellar.link.state == HANDSHAKING
    assert status(site.cellar, "twice_total", "quarantined_total")[0] >= 3
    assert site.cellar.link.quarantined_total == 0
    assert second.session.refusal.reason == session.REFUSED_TWICE
    assert site.cellar.link.problem == (
        "device id 'pico-1' is in use on porch; give one of the two another device_id"
    )
    assert site.porch.link.problem == (
        "device id 'pico-1' is also on cellar; give one of the two another device_id"
    )
    assert len(log.having("is in use on porch")) == len(log.having("is also on cellar")) == 1
    assert second.session.in_flight == 1
    site.cellar.plug(None)
    site.run(TWICE_MS + 20_000, step_ms=100)
    assert site.porch.link.problem == ""


def test_board_that_was_moved_and_restarted_is_taken_once_the_other_line_is_quiet(site):
    site.porch.plug(site.board("pico-1"))
    site.run()
    site.porch.plug(None)  # a UART: its port stays
    site.cellar.plug(site.board("pico-1"))
    site.run(HEARD_MS + session.REFUSED_TWICE_S * 1000 + 2000)
    assert site.cellar.link.state == UP
    assert site.cellar.link.problem == ""
    site.run(10_000, step_ms=50)
    assert site.porch.link.state in (SILENT, HANDSHAKING)
    assert site.devices() == {("cellar", "pico-1")}


def test_board_whose_port_went_away_is_taken_elsewhere_at_once(site):
    site.porch.plug(site.board("pico-1"))
    site.run()
    site.porch.port.fault = "serial port /dev/porch went away"
    site.porch.port.absent = "serial port /dev/porch does not exist"
    site.run(100)
    assert site.porch.link.state == SEARCHING
    site.porch.plug(None)
    site.cellar.plug(site.board("pico-1"))
    site.run(2000)
    assert status(site.cellar, "state", "twice_total") == (UP, 0)


def test_boot_that_is_moved_is_taken_at_once_and_stored_once(site):
    board = site.board("pico-1")
    board.sample(*range(5))
    site.porch.plug(board)
    site.run()
    site.porch.plug(None)
    board.sample(*range(5, 10))
    site.cellar.plug(board)
    board.greet_anew()
    site.run(8000)
    assert status(site.cellar, "state", "twice_total") == (UP, 0)
    ledger = read_ledger(site.path)
    assert (ledger.total("stored"), ledger.is_balanced) == (10, True)
    assert board.session.in_flight == 0


# -- versions ----------------------------------------------------------------------


def test_board_of_another_version_is_told_apart_by_a_clear_line(site, log):
    for _ in range(15):
        site.porch.port.incoming.append(hello_of_versions(2, 3))
        site.run(1000, step_ms=100)
    problem = "board 'pico-1' speaks link versions 2 to 3, this agent 1 to 1; update the older"
    assert site.porch.link.problem.startswith(problem)
    assert len(log.having("speaks link versions")) == 1
    assert log.having("no HELLO on /dev/porch") == []
    assert status(site.porch, "state", "versions_refused_total") == (HANDSHAKING, 15)
    site.porch.plug(site.board("pico-1"))
    site.run(10_000)
    assert status(site.porch, "state", "problem") == (UP, "")


def test_board_whose_channels_make_no_sense_is_told_apart_by_a_clear_line(site, log):
    said = hello(boot=0x77, device="pico-1")._replace(channels_crc=crc32(FOO))
    channels = bytes((message.VERSION, message.CHANNELS, 0x77, 0, 0)) + FOO
    for _ in range(15):
        site.porch.port.incoming.append(message_frame(said) + encode(channels))
        site.run(1000, step_ms=100)
    problem = "board 'pico-1' can't be taken: channel table, entry 0: unit: 'foo' is not one"
    assert site.porch.link.problem.startswith(problem)
    assert len(log.having("channel table")) == 1
    assert log.having("no HELLO on /dev/porch") == []
    assert status(site.porch, "state", "greetings_refused_total") == (HANDSHAKING, 15)
    assert status(site.porch, "versions_refused_total", "messages_bad_total") == (0, 15)
    site.porch.plug(site.board("pico-1"))
    site.run(10_000)
    assert status(site.porch, "state", "problem") == (UP, "")


FOO = b"\x00\x00\x01a\x03foo"  # a channel in a unit that there is not


def message_frame(said):
    return encode(message.pack(message.HELLO, said.tag, *said[1:]))


def hello_of_versions(version_min, version_max):
    """Return the HELLO of a board that speaks only these versions."""
    said = hello(boot=0x77, device="pico-1")
    return message_frame(said._replace(version_min=version_min, version_max=version_max))
