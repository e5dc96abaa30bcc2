"""Sends blocks to a board that has `on_board.RECEIVE` running, as fast as its line allows.

Base64, so that no byte means anything to the board's prompt, in lines of which
two may be on the way: an ESP32 takes in 260 bytes and drops the rest without a
word. Each line is answered with a dot, each block with an exclamation mark.
"""

import base64
import time
from collections.abc import Callable
from typing import Any

from .problem import FlashError

LINE_BYTES = 72  # before base64: two lines of 97 bytes are below 200
LINES_AHEAD = 2
ANSWER_S = 15.0  # for a line, even if the board erases its flash meanwhile


def send(serial: Any, port: str, blocks: list[bytes], progress: Callable[[int], None]) -> None:
    """Send all of `blocks`; `progress` gets the bytes of a block when the board has stored it.

    Raises FlashError if the board stops to answer; then `Repl.end` may say why.
    """
    before_s = serial.timeout
    serial.timeout = 0.1
    for block in blocks:
        _send_block(serial, port, block)
        progress(len(block))
    serial.write(b"\n")  # an empty block: that is all
    serial.timeout = before_s


def _send_block(serial: Any, port: str, block: bytes) -> None:
    ahead = 0
    for offset in range(0, len(block), LINE_BYTES):
        line = base64.b64encode(block[offset : offset + LINE_BYTES]) + b"\n"
        while ahead >= LINES_AHEAD:
            ahead -= _answers(serial, port)
        serial.write(line)
        ahead += 1
    serial.write(b"\n")
    while True:
        got = _answers(serial, port, b"!")
        if got < 0:
            return


def _complaint(serial: Any, got: bytes) -> str:
    """Return why the program on the board has ended too early."""
    deadline_s = time.monotonic() + 1
    while got.count(b"\x04") < 2 and time.monotonic() < deadline_s:
        got += serial.read(max(1, serial.in_waiting))
    lines = got.split(b"\x04")[1].decode(errors="replace").strip().splitlines()
    said = lines[-1] if lines else "the program ended"
    if "ENOSPC" in said or said.endswith(" 28"):
        return f"the board's file system is full ({said}); the old set is in force"
    return f"the board says: {said}; the old set is in force"


def _answers(serial: Any, port: str, end: bytes = b"") -> int:
    """Wait for answers; return how many lines they are for, -1 for the end of a block."""
    deadline_s = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline_s:
        got = serial.read(max(1, serial.in_waiting))
        if b"\x04" in got:
            raise FlashError(f"{port}: {_complaint(serial, got)}")
        if end and end in got:
            return -1
        if b"." in got:
            return int(got.count(b"."))
    raise FlashError(f"{port}: no answer for {ANSWER_S:g} s in the middle of a file")
