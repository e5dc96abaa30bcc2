"""Tells whoever started the flasher how it goes: lines and a bar for people, JSON for programs.

What can't be written is an OutputError; where even that can't be told the exit status
says it.
"""

import contextlib
import json
import sys
import time
from typing import Any, TextIO

from .problem import OutputError

BAR_WIDTH = 30
BAR_S = 0.1  # between two looks of the bar


class Telling:
    """What is printed while something is done."""

    def __init__(self, *, is_json: bool, out: TextIO | None = None, err: TextIO | None = None):
        """Print results to `out`, and what passes to `err` if a person looks at it."""
        self.is_json = is_json
        # Python has none where the program was started with a closed one: `>&-`.
        self._out: TextIO | None = out or sys.stdout
        self._err: TextIO | None = err or sys.stderr
        self._has_bar = not is_json and self._err is not None and self._err.isatty()
        self._shown_s = 0.0

    def step(self, text: str, **facts: Any) -> None:
        """Say what is done now, or what was noticed."""
        if self.is_json:
            self._line({"event": "step", "text": text, **facts})
        else:
            self._print(text, self._out)

    def progress(self, done: int, total: int) -> None:
        """Say how much of something long is done."""
        now_s = time.monotonic()
        if self.is_json:
            if done == total or now_s - self._shown_s >= 1:
                self._shown_s = now_s
                self._line({"event": "progress", "done": done, "total": total})
        elif self._has_bar and (done == total or now_s - self._shown_s >= BAR_S):
            self._shown_s = now_s
            filled = BAR_WIDTH * done // max(1, total)
            bar = "#" * filled + "." * (BAR_WIDTH - filled)
            end = "\n" if done == total else ""
            self._print(f"\r  [{bar}] {done:,} of {total:,} bytes", self._err, end)

    def result(self, facts: dict[str, Any], lines: list[str]) -> None:
        """Print what came of it: `facts` for programs, `lines` for people."""
        if self.is_json:
            self._line({"event": "result", **facts})
        else:
            for line in lines:
                self._print(line, self._out)

    def ask(self, question: str) -> None:
        """Print a question; the answer comes behind it."""
        self._print(question, self._out, "")

    def problem(self, text: str) -> None:
        """Print what went wrong, in a line."""
        if self.is_json:
            self._line({"event": "error", "text": text})
        else:
            self.note(f"pyv-edge-flash: {text}")

    def give_up(self, error: OutputError) -> None:
        """Write no more to where results go, and say why unless nobody reads on."""
        _drop(self._out)
        if str(error):
            self.note(f"pyv-edge-flash: {error}")

    def note(self, text: str) -> None:
        """Say a line that is no result, to people if they can be told."""
        try:
            self._print(text, self._err)
        except OutputError:
            _drop(self._err)

    def _line(self, facts: dict[str, Any]) -> None:
        self._print(json.dumps(facts, ensure_ascii=False), self._out)

    def _print(self, text: str, stream: TextIO | None, end: str = "\n") -> None:
        """Raises OutputError."""
        if stream is None:
            raise OutputError("output can't be written: it is closed")
        try:
            print(text, end=end, file=stream, flush=True)
        except BrokenPipeError as error:
            raise OutputError("") from error
        except (OSError, ValueError) as error:  # ValueError: a character that it hasn't
            what = getattr(error, "strerror", None) or error
            raise OutputError(f"output can't be written: {what}") from error


def _drop(stream: TextIO | None) -> None:
    """Forget what a stream hasn't got rid of: Python would try once more at its end."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()
