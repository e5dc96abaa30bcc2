"""Waits for a board to say who it is: the HELLO of its node.

A board that kept readings of an earlier boot on its flash speaks for that one first, until a
host has taken them. Then only the hashes and the flags are those of what runs now.
"""

import time
from collections.abc import Callable
from typing import Any

from pyv_edge_core import message, seal
from pyv_edge_core.errors import MessageError
from pyv_edge_core.frame import FrameDecoder

from .problem import FlashError
from .repl import Repl

HELLO_S = 20.0  # a slow board compiles nothing, and still needs three seconds to start
# What a node says where the prompt is, if its link is somewhere else: start.open_port.
BY_UART = b"pyv_edge_node: the link is UART"
LONG_S = 5.0  # a wait that somebody wonders about
READ_S = 0.05
REOPEN_S = 0.2
_CONSOLE_SIZE_MAX = 2000


def is_earlier(said: Any) -> bool:
    """Return whether a HELLO, or None, is of an earlier boot."""
    return said is not None and bool(said.flags & message.HELLO_OVER)


def facts(said: Any) -> dict[str, Any]:
    """Return who speaks in a HELLO, or None, for programs."""
    known = said is not None and not is_earlier(said)
    return {"device": said.device if known else "", "earlier_boot": is_earlier(said)}


def earlier_line(said: Any) -> str:
    """Return what a HELLO of an earlier boot tells, for people."""
    return (
        f"HELLO for an earlier boot of {said.device}, whose readings go first:"
        f" set {said.firmware_hash:08x}"
    )


class Listener:
    """Finds HELLOs in what a board says, and keeps the end of everything else."""

    def __init__(self) -> None:
        self.hello: Any = None  # the latest; of an earlier boot only if there is no other
        self.console = b""  # what was no frame: tracebacks, complaints
        self._decoder = FrameDecoder()

    def take(self, data: bytes) -> None:
        """Take bytes from the board."""
        for payload in self._decoder.feed(data):
            # A seal hides nothing; whether it is genuine is for the agent to judge.
            content = seal.content(payload) or payload
            try:
                parsed = message.parse(content)
            except MessageError:
                continue
            if parsed is None or parsed[0] != message.HELLO:
                continue
            if self.hello is None or not is_earlier(parsed[1]):
                self.hello = parsed[1]
        self.console = (self.console + self._decoder.take_console())[-_CONSOLE_SIZE_MAX:]

    def last_line(self) -> str:
        """Return the last line that was no frame, "" if there was none."""
        lines = self.console.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def wait(
    repl: Repl,
    timeout_s: float = HELLO_S,
    tell: Callable[[str], None] = lambda text: None,
    long_s: float = LONG_S,
) -> Listener:
    """Listen until a HELLO comes, or the time is over; `tell` of a wait that is long.

    A board with a USB of its own that resets meanwhile is gone for a while, and
    comes back under the same name; one that doesn't has said nothing.
    """
    listener = Listener()
    begun_s = time.monotonic()
    deadline_s = begun_s + timeout_s
    is_told = False
    while time.monotonic() < deadline_s and listener.hello is None:
        if BY_UART in listener.console:
            break
        if not is_told and time.monotonic() - begun_s >= long_s:
            is_told = True
            tell(f"the board boots; its HELLO is waited for, {timeout_s:g} s at most")
        try:
            serial = repl.serial
            serial.timeout = READ_S
            listener.take(serial.read(max(1, serial.in_waiting)))
        except OSError:
            repl.close()
            _reopen(repl, deadline_s)
    return listener


def _reopen(repl: Repl, deadline_s: float) -> None:
    """Open the port again once it is back. Raises FlashError if it isn't in time."""
    while True:
        try:
            repl.open()
        except FlashError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(REOPEN_S)
        else:
            return
