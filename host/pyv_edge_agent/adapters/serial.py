"""SerialAdapter: a board on a serial port. It pushes; the agent doesn't poll it.

The agent runs its `link`; `read()` exists for those who ask for one value.
"""

import random
from typing import Any

from ..clock import Clock
from ..errors import AdapterError
from ..link import Inbox, SerialLink
from ..port import Port, SerialPort


class SerialAdapter:
    """One configured serial device."""

    is_pushing = True

    def __init__(self, name: str, port: str, baudrate: int) -> None:
        self.name = name
        self.link: SerialLink | None = None
        self.buffer: Any = None  # the device's RingBuffer
        self._port: Port = SerialPort(port, baudrate)

    def open_link(self, clock: Clock, rng: random.Random, inbox: Inbox) -> SerialLink:
        """Make the link; its thread is the caller's to run."""
        self.link = SerialLink(self.name, self._port, clock, rng, inbox)
        return self.link

    def read(self) -> float:
        """Return the latest value that has come. Raises AdapterError if none has."""
        latest = self.buffer.latest(1) if self.buffer is not None else []
        if not latest:
            raise AdapterError("nothing has come from the board yet")
        return float(latest[0][1])
