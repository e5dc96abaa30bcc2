"""`pyv-edge-bridge replay`: is the board of a capture, for an agent.

The agent opens `--link` as its port and gets the recorded readings, with their
numbers, values and times; see `replayed_board` for what is not repeated as it was.
"""

import argparse
import select
from pathlib import Path

from . import capture, line
from .carrier import PRESENCE_MS, now_ns
from .errors import BridgeError
from .options import add_key, add_limits, between
from .recorded_run import RecordedBoot, RecordedRun, read_run
from .replayed_board import UPTIME_S_MAX, ReplayedBoard
from .seal_check import read_key
from .stdio import complain
from .steady_output import SteadyOutput
from .terminal import Terminal

_LINGER_MS = 1000  # for the agent to read what was said last


def _speed(text: str) -> float:
    return between(text, 1e-3, 1e6, is_zero_allowed=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("capture", type=Path, metavar="CAPTURE")
    parser.add_argument(
        "--link", type=Path, metavar="PATH", required=True, help="what the agent opens as its port"
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="N",
        help="times as fast as it was recorded; 0: as fast as the agent takes it (%(default)g)",
    )
    add_key(parser)
    add_limits(parser)


class _Player:
    """Plays boot after boot over a terminal."""

    def __init__(self, boots: list[RecordedBoot], terminal: Terminal, speed: float, key: bytes):
        self.boots_total = 0  # played to their end
        self.readings_total = 0
        self.missing_total = 0
        self.refused_requests_total = 0
        self._boots = boots
        self._terminal = terminal
        self._speed = speed
        self._key = key
        self._unsent = b""
        self._board = self._next()

    def _next(self) -> ReplayedBoard | None:
        if self.boots_total == len(self._boots):
            return None
        boot = self._boots[self.boots_total]
        return ReplayedBoard(boot, self._speed, self._key, now_ns() // 1_000_000)

    @property
    def is_done(self) -> bool:
        return self._board is None

    def step(self) -> None:
        """Wait a moment for the agent, and say what is due. Raises BridgeError."""
        board = self._board
        is_present = self._terminal.is_present()
        poll = select.poll()
        wait_ms = PRESENCE_MS
        if is_present:
            poll.register(self._terminal, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            if board is not None:
                wait_ms = board.wait_ms(now_ns() // 1_000_000)
        poll.poll(wait_ms)
        now_ms = now_ns() // 1_000_000
        data = self._terminal.read()
        if board is not None:
            if data:
                board.receive(data, now_ms)
            self._say(board, is_present, now_ms)
            if board.problem:
                raise BridgeError(board.problem)
            if board.is_done and not self._unsent:
                self.boots_total += 1
                self._count(board)
                self._board = self._next()

    def _say(self, board: ReplayedBoard, is_present: bool, now_ms: int) -> None:
        while True:
            self._unsent = self._unsent or board.transmit(now_ms)
            if not self._unsent:
                return
            if not is_present:
                self._unsent = b""  # nobody listens
                continue
            sent = self._terminal.write(self._unsent)
            self._unsent = self._unsent[sent:]
            if self._unsent:
                return

    def _count(self, board: ReplayedBoard) -> None:
        self.readings_total += board.readings_total
        self.missing_total += board.missing_total
        self.refused_requests_total += board.refused_requests_total

    def end(self) -> None:
        if self._board is not None:
            self._count(self._board)


def run(args: argparse.Namespace) -> int:
    """Play it; return 1 if it ended before the agent had everything, or lines are missing."""
    output = SteadyOutput(is_json=args.json, is_needed=True)
    key = read_key(args.link_key_file) if args.link_key_file else b""
    reader = capture.Reader(args.capture)
    run = read_run(reader.read(), key)
    reader.close()
    boots = _playable(args.capture, run)
    if reader.problem:
        complain(reader.problem)
    terminal = Terminal(args.link)
    is_asked: list[bool] = []
    try:
        player = _Player(boots, terminal, args.speed, key)
        ending = line.Ending(args.seconds)
        with line.ended_by_signals(lambda: is_asked.append(True)):
            told = {"event": "ready", "link": str(args.link), "boots": len(boots)}
            output.say(told, f"{args.capture}: {len(boots)} boots; let the agent open {args.link}")
            while not player.is_done and not is_asked and not ending.is_over:
                player.step()
            player.end()
            linger = line.Ending(_LINGER_MS / 1000)
            while player.is_done and not is_asked and not linger.is_over:
                player.step()
    finally:
        terminal.close()
    summary = {
        "event": "summary",
        "boots": len(boots),
        "boots_played": player.boots_total,
        "readings_total": player.readings_total,
        "missing_total": player.missing_total,
        "refused_requests_total": player.refused_requests_total,
        "orphans_total": run.orphans_total,
    }
    output.conclude(
        summary,
        f"{player.boots_total} of {len(boots)} boots played, {player.readings_total} readings,"
        f" {player.missing_total} numbers that the capture hasn't got",
    )
    return output.status if player.is_done else 1


def _playable(path: Path, run: RecordedRun) -> list[RecordedBoot]:
    """Return the boots that greet and bring their channel table. Raises BridgeError for none."""
    boots = [boot for boot in run.boots if boot.rows is not None]
    if not boots:
        raise BridgeError(
            f"{path}: has no greeting of a board (HELLO and CHANNELS), so nobody can say whose"
            " readings these are; start recording before the agent opens the port"
        )
    for boot in boots:
        if boot.uptime_ms_max // 1000 > UPTIME_S_MAX:
            raise BridgeError(
                f"{path}: its boot {boot.hello.boot:08x} tells of an uptime of"
                f" {boot.uptime_ms_max // 1000} s; one beyond {UPTIME_S_MAX} s can't be played"
            )
    run.orphans_total += sum(len(boot.items) for boot in run.boots if boot.rows is None)
    return boots
