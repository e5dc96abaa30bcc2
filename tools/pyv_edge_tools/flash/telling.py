"""Tells whoever started the flasher how it goes: lines and a bar for people, JSON for programs."""

import json
import sys
import time
from typing import Any, TextIO

BAR_WIDTH = 30
BAR_S = 0.1  # between two looks of the bar


class Telling:
    """What is printed while something is done."""

    def __init__(self, *, is_json: bool, out: TextIO | None = None, err: TextIO | None = None):
        """Print results to `out`, and what passes to `err` if a person looks at it."""
        self.is_json = is_json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._has_bar = not is_json and self._err.isatty()
        self._shown_s = 0.0

    def step(self, text: str, **facts: Any) -> None:
        """Say what is done now, or what was noticed."""
        if self.is_json:
            self._line({"event": "step", "text": text, **facts})
        else:
            print(text, file=self._out, flush=True)

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
            print(f"\r  [{bar}] {done:,} of {total:,} bytes", end=end, file=self._err, flush=True)

    def result(self, facts: dict[str, Any], lines: list[str]) -> None:
        """Print what came of it: `facts` for programs, `lines` for people."""
        if self.is_json:
            self._line({"event": "result", **facts})
        else:
            for line in lines:
                print(line, file=self._out, flush=True)

    def problem(self, text: str) -> None:
        """Print what went wrong, in a line."""
        if self.is_json:
            self._line({"event": "error", "text": text})
        else:
            print(f"pyv-edge-flash: {text}", file=self._err, flush=True)

    def _line(self, facts: dict[str, Any]) -> None:
        print(json.dumps(facts, ensure_ascii=False), file=self._out, flush=True)
