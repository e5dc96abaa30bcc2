"""A board's settings as a file beside the agent: when to push them, and what came of it.

The board's HELLO says the CRC-32 of the settings in force. If it isn't the
file's, they are pushed once per greeting. A board that takes them over restarts,
and its next HELLO shows whether they came up; if they did not, it has gone back
to the former ones, and pushing the same again would be no use. Not thread-safe.
"""

import json
from binascii import crc32
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pyv_edge_core.request import CONFIG_SIZE_MAX

from .board_request import BoardRequests, Outcome

TRIES_MAX = 3  # pushes of the same content


class SettingsFile:
    """The settings of one board."""

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
        self._tries = 0
        self._is_given_up = False
        self._taken_by = -1  # the boot that took it over and has to restart
        self._read()

    def _read(self) -> None:
        """Read the file if it has changed."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return
            with self._path.open("rb") as file:
                content = file.read(CONFIG_SIZE_MAX + 1)
        except OSError as error:
            self._refuse(f"can't be read: {error.strerror}; write it, or take the setting out")
            self._seen = None
            return
        self._seen = seen
        if crc32(content) == self._crc and content == self._content:
            return  # only touched
        try:
            self._check(content)
        except ValueError as error:
            self._refuse(str(error))
            return
        self._content, self._crc = content, crc32(content)
        self.problem = ""
        self._tries = 0
        self._is_given_up = False
        self._taken_by = -1

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

    def _refuse(self, problem: str) -> None:
        self._content, self._crc = b"", 0
        self.problem = f"settings_file {self._path} {problem}"

    def greeted(self, boot: int, config_hash: int) -> bytes:
        """Return the settings to be pushed to a boot with those of `config_hash`; b"": none."""
        self._read()
        if not self._content:
            return b""
        if config_hash == self._crc:
            self.came_up_total += self._taken_by not in (-1, boot)
            self._taken_by = -1
            self._tries = 0
            self.problem = ""
            return b""
        if self._taken_by == boot:
            return b""  # it is about to restart
        if self._taken_by != -1:
            self._taken_by = -1
            self._is_given_up = True
            self.not_up_total += 1
            self.problem = (
                f"settings_file {self._path} was taken over, but the board did not come up with"
                f" it and has gone back to {config_hash:08x}; its log says why; change the file"
            )
        if self._is_given_up or self._tries >= TRIES_MAX:
            return b""
        self._tries += 1
        self.pushes_total += 1
        return self._content

    def answered(self, boot: int, outcome: Outcome) -> None:
        """Take what the boot made of the settings."""
        if outcome.is_done:
            self._taken_by = boot
            self.problem = ""
            return
        said = f": {outcome.text}" if outcome.text else ""
        what_next = (
            "change the file" if self._tries >= TRIES_MAX else "tried again at its next HELLO"
        )
        self.problem = f"settings_file {self._path}: {outcome.name}{said}; {what_next}"

    def offer(self, hello: Any, requests: BoardRequests, told: Callable[[], None]) -> None:
        """Push the settings to a welcomed board that has others; call `told` at its answer."""
        content = self.greeted(hello.boot, hello.config_hash)
        if not content:
            return

        def answered(future: "Future[Outcome]") -> None:
            if future.exception() is None:  # else they never left, and the log says why
                self.answered(hello.boot, future.result())
                told()

        requests.push_settings(content).add_done_callback(answered)

    def status(self) -> dict[str, int]:
        """Return the counters."""
        return {
            "pushes_total": self.pushes_total,
            "came_up_total": self.came_up_total,
            "not_up_total": self.not_up_total,
        }
