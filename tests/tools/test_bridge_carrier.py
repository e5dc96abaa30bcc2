"""Carrying between two terminals: unchanged, without a wait, bounded, every loss counted."""

import os
import pty
import random
import socket
import struct
import tty

import pytest
from pyv_edge_tools.bridge import carrier
from pyv_edge_tools.bridge.carrier import Carrier
from pyv_edge_tools.bridge.chunk import TO_BOARD, TO_HOST, Chunk, Note
from pyv_edge_tools.bridge.errors import BridgeError
from pyv_edge_tools.bridge.lane import Lane
from pyv_edge_tools.bridge.port import BoardPort, PortBusyError, PortError
from pyv_edge_tools.bridge.server import Server
from pyv_edge_tools.bridge.terminal import Terminal

EVERY = bytes(range(256)) * 4
STEPS_MAX = 5000


class Board:
    """A terminal whose master end plays the board."""

    def __init__(self, path):
        self.path = path
        self.master = None

    def plug(self):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.slave))

    def fill(self):
        """Let it have so much to read that nothing more goes in."""
        extra = os.open(self.path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            while os.write(extra, EVERY):
                pass
        except BlockingIOError:
            os.close(extra)

    def unplug(self):
        if self.master is not None:
            os.close(self.master)
            os.close(self.slave)
            self.path.unlink()
            self.master = None


class Line:
    """A carrier between a board and a program, all of them here."""

    def __init__(self, folder, end=None):
        self.now_ns = 0
        self.seen = []
        self.board = Board(folder / "board")
        self.board.plug()
        self.port = BoardPort(str(self.board.path), 115_200)
        self.port.open()
        self.end = end or Terminal(folder / "link")
        self.carrier = Carrier(
            self.port, self.seen.append, self.end, clock=self.clock, rng=random.Random(1)
        )
        self.program = None

    def clock(self):
        self.now_ns += 1_000_000  # so that waits are over after some steps
        return self.now_ns

    def open(self):
        self.program = os.open(self.end.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.until(lambda: self.carrier.counters()["programs_total"])

    def leave(self):
        os.close(self.program)
        self.program = None

    def until(self, condition):
        for _ in range(STEPS_MAX):
            self.carrier.step(1)
            found = condition()
            if found:
                return found
        raise AssertionError("not within so many steps")

    def heard(self, descriptor, size):
        """Return `size` bytes that come out at an end."""
        got = b""

        def is_whole():
            nonlocal got
            try:
                got += os.read(descriptor, 4096)
            except BlockingIOError:
                return False
            return len(got) >= size

        self.until(is_whole)
        return got

    def close(self):
        self.carrier.close()
        self.end.close()
        self.port.close()
        self.board.unplug()
        if self.program is not None:
            os.close(self.program)


@pytest.fixture
def line(tmp_path):
    made = Line(tmp_path)
    yield made
    made.close()


def test_every_byte_passes_both_ways_and_is_seen(line):
    line.open()
    os.write(line.board.master, EVERY)
    assert line.heard(line.program, len(EVERY)) == EVERY
    os.write(line.program, EVERY)
    assert line.heard(line.board.master, len(EVERY)) == EVERY
    for direction in (TO_HOST, TO_BOARD):
        seen = [one for one in line.seen if isinstance(one, Chunk)]
        assert b"".join(one.data for one in seen if one.direction == direction) == EVERY
    counted = line.carrier.counters()
    assert counted["to_host_bytes_total"] == counted["to_board_bytes_total"] == len(EVERY)
    assert counted["lost_bytes_total"] == 0


def test_board_is_read_though_nobody_listens(line):
    for _ in range(40):
        os.write(line.board.master, EVERY)
        line.until(lambda: line.carrier.unheard_bytes_total % len(EVERY) == 0)
    line.until(lambda: line.carrier.unheard_bytes_total == 40 * len(EVERY))
    line.open()
    os.write(line.board.master, b"now")
    assert line.heard(line.program, 3) == b"now"  # and nothing that is older


def test_program_that_does_not_read_loses_what_has_no_room_and_the_board_goes_on(line):
    line.open()
    total = 0
    while not line.carrier.to_host.lost_bytes_total:
        total += os.write(line.board.master, EVERY)
        line.carrier.step(1)
        assert total < 10 * carrier.LANE_SIZE
    told = [one.text for one in line.seen if isinstance(one, Note) and "lost" in one.text]
    assert told == ["the program does not read, what the board says is lost"]
    # The board is never held up: all of it was taken.
    line.until(lambda: sum(len(c.data) for c in line.seen if isinstance(c, Chunk)) == total)
    assert len(line.carrier.to_host) <= carrier.LANE_SIZE
    lost = line.carrier.to_host.lost_bytes_total
    got = line.heard(line.program, total - lost)
    line.until(lambda: not line.carrier.to_host)
    os.write(line.board.master, b"more")
    assert (got + line.heard(line.program, 4)).endswith(b"more")
    told = [one.text for one in line.seen if isinstance(one, Note) and "were lost" in one.text]
    assert told == [f"the program reads again; {lost} bytes were lost"]


def test_board_that_does_not_read_makes_the_program_wait_and_loses_nothing(line):
    line.open()
    total = 0
    quiet = 0
    while quiet < 50:
        try:
            sent = os.write(line.program, EVERY)
        except BlockingIOError:
            sent = 0
        total += sent
        quiet = 0 if sent else quiet + 1
        line.carrier.step(1)
    assert len(line.carrier.to_board) <= carrier.BOARD_LANE_SIZE
    got = line.heard(line.board.master, total)
    assert got == (EVERY * (total // len(EVERY) + 1))[:total]
    assert line.carrier.counters()["lost_bytes_total"] == 0


def test_board_goes_and_comes_and_the_program_stays(line):
    line.open()
    line.board.unplug()
    line.until(lambda: not line.port.is_open)
    os.write(line.program, b"is anybody there?")
    line.until(lambda: line.carrier.unsaid_bytes_total == 17)
    assert line.end.path.is_symlink()
    line.board.plug()
    line.until(lambda: line.port.is_open)
    os.write(line.board.master, b"back")
    assert line.heard(line.program, 4) == b"back"
    counted = line.carrier.counters()
    assert (counted["port_opened_total"], counted["port_went_away_total"]) == (2, 1)
    assert counted["programs_total"] == 1
    notes = [one.text for one in line.seen if isinstance(one, Note)]
    assert any("went away" in text for text in notes)
    assert notes[-1].endswith("is open")
    # What was wrong is said once, however often the port was looked for.
    assert len([text for text in notes if "does not exist" in text]) <= 1


def test_program_may_go_and_come(line):
    line.open()
    os.write(line.board.master, b"never read")
    line.until(lambda: line.carrier.to_host.passed_bytes_total == 10)
    line.leave()
    line.until(
        lambda: any("closed its end" in one.text for one in line.seen if isinstance(one, Note))
    )
    os.write(line.board.master, b"lost")
    line.until(lambda: line.carrier.unheard_bytes_total == 4)
    line.program = os.open(line.end.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    line.until(lambda: line.carrier.programs_total == 2)
    os.write(line.program, b"again")
    assert line.heard(line.board.master, 5) == b"again"
    os.write(line.board.master, b"new")
    assert line.heard(line.program, 3) == b"new"


def test_program_that_left_unread_bytes_leaves_none_to_the_next(line):
    line.open()
    total = 0
    while not line.carrier.to_host:  # more than the terminal takes
        total += os.write(line.board.master, EVERY)
        line.carrier.step(1)
    line.leave()
    line.until(lambda: line.carrier.unheard_bytes_total)
    assert not line.carrier.to_host
    line.program = os.open(line.end.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    line.until(lambda: line.carrier.programs_total == 2)
    os.write(line.board.master, b"new")
    assert line.heard(line.program, 3) == b"new"


def test_board_that_comes_back_is_not_told_what_was_meant_for_the_one_before(line):
    line.open()
    while not line.carrier.to_board:  # more than the terminal takes
        os.write(line.program, EVERY)
        line.carrier.step(1)
    waiting = len(line.carrier.to_board)
    line.board.unplug()
    line.until(lambda: not line.port.is_open)
    assert line.carrier.unsaid_bytes_total >= waiting
    assert not line.carrier.to_board
    line.board.plug()
    line.until(lambda: line.port.is_open)
    os.write(line.program, b"new")
    assert line.heard(line.board.master, 3) == b"new"


@pytest.fixture
def shared(tmp_path):
    made = Line(tmp_path, Server(("127.0.0.1", 0)))
    yield made
    made.close()


def connect(line):
    before = line.carrier.programs_total
    client = socket.create_connection(line.end.address, timeout=5)
    line.until(lambda: line.carrier.programs_total > before)
    return client


def test_program_that_comes_back_at_once_is_let_in(shared):
    client = connect(shared)
    client.sendall(b"bye")
    client.close()
    with socket.create_connection(shared.end.address, timeout=5) as client:
        # Both are there before the carrier has looked.
        shared.until(lambda: shared.carrier.programs_total == 2)
        assert shared.end.turned_away_total == 0
        os.write(shared.board.master, b"hello again")
        shared.until(lambda: shared.carrier.to_host.passed_bytes_total == 11)
        assert client.recv(100) == b"hello again"
    assert shared.heard(shared.board.master, 3) == b"bye"


def filled(line):
    """Connect, and say so much that a board which doesn't read has no room for it."""
    client = connect(line)
    client.setblocking(False)
    quiet = 0
    while quiet < 50:
        try:
            client.send(EVERY)
            quiet = 0
        except BlockingIOError:
            quiet += 1
        line.carrier.step(1)
    return client


def test_program_that_dies_while_the_board_does_not_read_locks_nobody_out(shared):
    client = filled(shared)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()  # a reset, as of one that was killed
    shared.until(lambda: not shared.end.is_present())
    assert shared.carrier.counters()["lost_bytes_total"] > 0  # what had no room is counted
    with connect(shared):
        assert shared.end.turned_away_total == 0


def test_program_that_leaves_while_the_board_does_not_read_makes_way_for_the_next(shared):
    client = connect(shared)
    shared.board.fill()
    client.sendall(EVERY * 20)  # it has left: all of that, and its end, is on our side
    client.close()
    shared.until(shared.end.is_gone)
    assert shared.end.is_present()
    # It may still be heard when the board reads; the next one has more right to be here.
    with connect(shared):
        assert shared.end.turned_away_total == 0
        assert shared.carrier.counters()["lost_bytes_total"] > 0


def test_program_that_leaves_is_heard_to_its_end(shared):
    with connect(shared) as client:
        client.sendall(EVERY * 60)
    assert shared.heard(shared.board.master, len(EVERY) * 60) == EVERY * 60
    shared.until(lambda: not shared.end.is_present())
    assert shared.carrier.counters()["lost_bytes_total"] == 0


def test_port_is_ours_alone(line):
    with pytest.raises(PortBusyError, match="is in use by another program"):
        BoardPort(str(line.board.path), 115_200).open()


def test_ports_that_can_not_be_opened_say_why_in_a_line(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    for name, words in (
        (tmp_path / "absent", "does not exist; plug the board in"),
        (plain, "is not a serial port"),
        ("socket://127.0.0.1:1", "refuses the connection"),
        ("rfc2217://127.0.0.1:1", "refuses the connection"),
        ("socket://nonsense", "must be socket://HOST:PORT"),
        ("rfc2217://127.0.0.1:99999", "must be rfc2217://HOST:PORT"),
        ("socket://127.0.0.1:x", "must be socket://HOST:PORT"),
        ("socket://127.0.0.1:0", "must be socket://HOST:PORT"),
        ("socket://[::1:7", "must be socket://HOST:PORT"),
        ("socket://127.0.0.1:7/x", "must be socket://HOST:PORT"),
        ("socket://127.0.0.1:7?logging=x", "options behind its \\? that can't be used"),
        (f"socket://{'a' * 70}:7", "has a host or options behind"),
        ("socket://absent.invalid:7", "names a host that can't be found"),
    ):
        with pytest.raises(PortError, match=words) as raised:
            BoardPort(str(name), 115_200).open()
        assert len(str(raised.value).splitlines()) == 1


def test_link_takes_no_place_of_anything_else(tmp_path):
    plain = tmp_path / "precious"
    plain.write_text("precious")
    with pytest.raises(BridgeError, match="exists"):
        Terminal(plain)
    assert plain.read_text() == "precious"
    stale = tmp_path / "stale"
    stale.symlink_to("/dev/pts/99999")  # of a bridge that was killed
    terminal = Terminal(stale)
    with pytest.raises(BridgeError, match="exists"):
        Terminal(stale)
    terminal.close()
    assert not stale.is_symlink()
    with pytest.raises(BridgeError, match="no link can be made"):
        Terminal(tmp_path / "absent" / "link")


def test_lane_keeps_its_bound():
    lane = Lane(10)
    lane.put(b"12345678")
    lane.put(b"9abcdef")
    assert (lane.front(), lane.lost_bytes_total, lane.room) == (b"123456789a", 5, 0)
    lane.gone(4)
    assert (lane.front(), lane.passed_bytes_total) == (b"56789a", 4)
    assert lane.clear() == 6
    assert not lane
