"""SerialAdapter: a board on a serial port. It pushes; the agent doesn't poll it.

The agent runs its `link`; `read()` exists for those who ask for one value.
"""

import random
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..errors import AdapterError
from ..link import Inbox, SerialLink
from ..link_key import read_link_key
from ..port import SerialPort
from ..port_search import PortClaims


class SerialAdapter:
    """One configured serial device."""

    is_pushing = True

    def __init__(self, device: dict[str, Any]) -> None:
        """Prepare the device of a checked table. Opens nothing."""
        self.name: str = device["name"]
        self.link: SerialLink | None = None
        self.buffer: Any = None  # the device's RingBuffer
        self._device = device

    def open_link(
        self,
        clock: Clock,
        rng: random.Random,
        inbox: Inbox,
        *,
        folder: Path = Path(),
        claims: PortClaims | None = None,
    ) -> SerialLink:
        """Make the link; its thread is the caller's to run.

        Files that the device names are in `folder`; `claims` are those of all
        devices. Raises ConfigError if its key can't be read.
        """
        device = self._device
        port = SerialPort(
            device["port"],
            device["baudrate"],
            dtr=device["dtr"],
            rts=device["rts"],
            owner=self.name,
            claims=claims,
        )
        key = b""
        if device["link_key_file"]:
            place = f"link_key_file of device {self.name}"
            key = read_link_key(folder / device["link_key_file"], place)
        settings_file = folder / device["settings_file"] if device["settings_file"] else None
        self.link = SerialLink(
            self.name, port, clock, rng, inbox, key=key, settings_file=settings_file
        )
        return self.link

    def read(self) -> float:
        """Return the latest value that has come. Raises AdapterError if none has."""
        latest = self.buffer.latest(1) if self.buffer is not None else []
        if not latest:
            raise AdapterError("nothing has come from the board yet")
        return float(latest[0][1])
