"""What is on a board's flash, read by the format alone, and what follows for what may be lost.

A page may go when the store has all of it, when a later one has all of it, or
when there is no room; what it had is lost only in the last case. Also plays
the times that pages are for: nobody takes readings, and the board loses its power.
"""

import struct
from binascii import crc32
from random import Random

from .broken import Broken

FOLDER = "spill/"
_PAGE_KB = 4
_HEAD = struct.Struct("<BBIIIIHIIIIIII")
_BLOCK = struct.Struct("<BBIIH")
_QUIET_S = 30  # before the faults end
_CUT_MAX = 9  # changes of the flash until the power goes
STRIKES = ("page_cut", "page_full", "page_left", "boot_over")


def parse(content):
    """Return (boot, ranges of each stream) of a page; None if it isn't whole."""
    if len(content) < _HEAD.size + 4 or crc32(content[:-4]) != int.from_bytes(
        content[-4:], "little"
    ):
        return None
    boot = _HEAD.unpack_from(content)[2]
    ranges = ([], [])
    at = _HEAD.size
    while at < len(content) - 4:
        stream, count, first, _, _ = _BLOCK.unpack_from(content, at)
        at += _BLOCK.size + 8 * count
        ranges[stream].append((first, first + count))
    assert at == len(content) - 4
    return boot, ranges


def numbers(pages, boot, stream):
    """Return the numbers of a boot's stream that are on these pages."""
    found = set()
    for page in pages:
        if page is not None and page[0] == boot:
            for first, end in page[1][stream]:
                found.update(range(first, end))
    return found


class Spilled:
    """The pages of one board."""

    def __init__(self, world, board):
        self._world = world
        self._board = board
        self._known = {}  # by content
        board.flash.removing = self._removing

    def _parse(self, content):
        if content not in self._known:
            self._known[content] = parse(content)
        return self._known[content]

    def pages(self, without=""):
        """Return the pages that there are."""
        files = self._board.flash.files
        return [
            self._parse(content)
            for name, content in files.items()
            if name.startswith(FOLDER) and name[len(FOLDER)] != "t" and name != without
        ]

    def has(self, boot):
        """Return whether anything of a boot is there."""
        return any(page is not None and page[0] == boot for page in self.pages())

    def _removing(self, name):
        """See that a file may go, and note what is lost with it."""
        if not name.startswith(FOLDER) or name[len(FOLDER)] == "t":
            return
        page = self._parse(self._board.flash.files[name])
        if page is None:
            return
        boot = page[0]
        world, others = self._world, self.pages(without=name)
        for stream in (0, 1):
            mine = numbers([page], boot, stream)
            missing = mine - numbers(others, boot, stream)
            stored = world.disk.next_seq(boot, stream)
            missing = sorted(seq for seq in missing if seq >= stored)
            if not missing:
                continue
            if not self._is_full():
                raise Broken(
                    "a page goes when it is stored, or for want of room: %s, boot %08x, stream %d,"
                    " %d..%d; stored up to %d"
                    % (self._board.plan.name, boot, stream, missing[0], missing[-1], stored)
                )
            world.struck("page_full")
            self._board.lose(boot, stream, missing)

    def _is_full(self):
        """Return whether there would be no room for another page, and the table of a boot."""
        size_kb = self._board.size_kb
        count = sum(name.startswith(FOLDER) for name in self._board.flash.files)
        return (count + 2) * _PAGE_KB > size_kb


def schedule(world):
    """Let the agent be away now and then, and boards with pages lose their power meanwhile."""
    rng = Random(f"spill {world.plan.seed}")
    boards = [board for board in world.boards if board.plan.spill]
    at_us = 0
    while boards:
        at_us += rng.randrange(60, 240) * 1_000_000
        if at_us >= world.heal_us - _QUIET_S * 1_000_000:
            return
        world.queue.at(at_us, _Absence(world, rng.choice(boards), rng).begin)


class _Absence:
    """One time that the agent is away, and what happens to a board then."""

    def __init__(self, world, board, rng):
        self._world = world
        self._board = board
        self._away_us = rng.randrange(15, 180) * 1_000_000
        self._cut_us = rng.randrange(1, self._away_us)
        self._changes = rng.randrange(_CUT_MAX)
        self._fate = rng.choice(("power", "flash", "flash", "again and again", "nothing"))
        self._rng = rng
        self._end_us = 0

    def begin(self, _):
        world = self._world
        if world.agent.is_alive:
            world.agent.die()
        heal_us = world.heal_us
        now_us = world.queue.now_us
        self._end_us = min(now_us + self._away_us, heal_us)
        world.queue.at(min(now_us + self._cut_us, heal_us), self._strike)
        world.queue.at(self._end_us, lambda _: world.agent.start())

    def _strike(self, _):
        board, queue = self._board, self._world.queue
        if self._fate in ("power", "again and again") and board.app is not None:
            board.lose_power()
        next_us = queue.now_us + self._rng.randrange(4, 20) * 1_000_000
        if self._fate == "again and again" and next_us < self._end_us:
            queue.at(next_us, self._strike)
        elif self._fate == "flash":
            board.flash.changes_left = self._changes
            board.is_page_cut = True
