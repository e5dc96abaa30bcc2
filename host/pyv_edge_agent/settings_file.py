"""A board's settings as a file beside the agent: when to push them, and what came of it.

The board's HELLO says the CRC-32 of the settings in force. If it isn't the
file's, they are pushed, again after a while if the answer got lost. A board that
takes them over restarts, and its next HELLO shows whether they came up; if they
did not, it has gone back to the former ones. Once more may help, as the power may
have gone; after that, pushing the same would be no use. Not thread-safe.
"""

import json
from binascii import crc32
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyv_edge_core import message
from pyv_edge_core.request import CONFIG_SIZE_MAX

from .board_request import BoardRequests, Outcome
from .plain_file import reading_plain

REFUSALS_MAX = 3  # of the same content by one board
NOT_UP_MAX = 2  # times that one did not come up with it
AGAIN_MS = 60_000  # until a push without an answer is repeated
BOARDS_MAX = 16  # of which is known what they made of it


@dataclass
class _Board:
    """What one board has made of the present content."""

    refusals: int = 0
    not_up: int = 0
    taken_by: int = -1  # the boot that took it over and has to restart; -1: none

    @property
    def is_hopeless(self) -> bool:
        return self.refusals >= REFUSALS_MAX or self.not_up >= NOT_UP_MAX


class SettingsFile:
    """The settings of the board on one link."""

    def __init__(self, path: Path) -> None:
        """Read the file; what is wrong with it is in `problem`."""
        self.problem = ""  # one line
        self.pushes_total = 0
        self.came_up_total = 0
        self.not_up_total = 0  # taken over by a board that came back without them
        self._path = path
        self._content = b""  # b"": nothing that could be pushed
        self._crc = 0
        self._seen: tuple[int, int] | None = None  # time of change and size of what was read
        self._boards: dict[str, _Board] = {}  # by device id, the latest last
        self._hello: Any = None  # of the board that was last offered it
        self._is_open = False  # whether that one has not said what it makes of it
        self._again_ms = -1  # when it is offered again; -1: not yet known
        self._read()

    def _read(self) -> None:
        """Read the file if it has changed."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return
            with reading_plain(self._path) as file:
                content = file.read(CONFIG_SIZE_MAX + 1)
        except OSError as error:
            self._refuse(f"can't be read: {error.strerror}; write it, or take the setting out")
            self._seen = None
            return
        self._seen = seen
        if content and content == self._content:
            return  # only touched
        try:
            self._check(content)
        except ValueError as error:
            self._refuse(str(error))
            return
        self._content, self._crc = content, crc32(content)
        self.problem = ""
        self._boards = {}

    def _check(self, content: bytes) -> None:
        """Raise ValueError for what no board could use."""
        if len(content) > CONFIG_SIZE_MAX:
            raise ValueError(f"has more than {CONFIG_SIZE_MAX} bytes; a board can't hold it")
        try:
            values = json.loads(content.decode())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise ValueError("must hold a JSON object")
        if "link_key" in values:
            raise ValueError(
                "holds link_key: a key must not go over the line; put it into a file on the"
                " board, and its name into link_key_file"
            )

    def _refuse(self, problem: str) -> None:
        self._content, self._crc = b"", 0
        self._boards = {}
        self.problem = f"settings_file {self._path} {problem}"

    def greeted(self, device: str, boot: int, config_hash: int) -> bytes:
        """Return the settings to be pushed to a boot with those of `config_hash`; b"": none."""
        self._read()
        if not self._content:
            return b""
        board = self._boards.pop(device, None) or _Board()
        while len(self._boards) >= BOARDS_MAX:
            del self._boards[next(iter(self._boards))]
        self._boards[device] = board
        if config_hash == self._crc:
            self.came_up_total += board.taken_by not in (-1, boot)
            self._boards[device] = _Board()
            self.problem = ""
            return b""
        if board.taken_by == boot:
            return b""  # it is about to restart
        if board.taken_by != -1:
            board.taken_by = -1
            board.not_up += 1
            self.not_up_total += 1
            what_next = "change the file" if board.is_hopeless else "tried once more"
            self.problem = (
                f"settings_file {self._path} was taken over, but the board did not come up with"
                f" it and has gone back to {config_hash:08x}; its log says why; {what_next}"
            )
        if board.is_hopeless:
            return b""
        self.pushes_total += 1
        return self._content

    def answered(self, device: str, boot: int, outcome: Outcome) -> None:
        """Take what a boot of a device made of the settings."""
        board = self._boards.setdefault(device, _Board())
        if outcome.is_done:
            board.taken_by = boot
            self.problem = ""
            return
        said = f": {outcome.text}" if outcome.text else ""
        board.refusals += outcome.code == message.RESULT_FAILED
        self._is_open = not board.is_hopeless
        what_next = "tried again" if self._is_open else "change the file"
        self.problem = f"settings_file {self._path}: {outcome.name}{said}; {what_next}"

    def offer(self, hello: Any, requests: BoardRequests, told: Callable[[], None]) -> None:
        """Push the settings to a welcomed board that has others; call `told` at its answer."""
        self._hello = hello
        self._is_open = False
        self._again_ms = -1
        content = self.greeted(hello.device, hello.boot, hello.config_hash)
        if not content:
            return
        pushed_crc = self._crc

        def answered(future: "Future[Outcome]") -> None:
            # Without an outcome they never left, and the log says why.
            if future.exception() is None and pushed_crc == self._crc:
                self.answered(hello.device, hello.boot, future.result())
                told()

        requests.push_settings(content).add_done_callback(answered)

    def run(self, now_ms: int, requests: BoardRequests, told: Callable[[], None]) -> None:
        """Offer them again to the board that is up, some time after it gave no good answer."""
        if not self._is_open:
            return
        if self._again_ms < 0:
            self._again_ms = now_ms + AGAIN_MS
        elif now_ms >= self._again_ms:
            self.offer(self._hello, requests, told)
            told()

    def status(self) -> dict[str, int]:
        """Return the counters."""
        return {
            "pushes_total": self.pushes_total,
            "came_up_total": self.came_up_total,
            "not_up_total": self.not_up_total,
        }
