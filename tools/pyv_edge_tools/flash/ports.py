"""Serial ports that boards are on."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .problem import FlashError

BY_ID = Path("/dev/serial/by-id")
# USB ids (vendor, product): what is behind them, as usb.org and the makers list them. None: any.
KNOWN = {
    (0x2E8A, None): "Raspberry Pi Pico (rp2)",
    (0x303A, 0x1001): "ESP32 with its own USB (USB-Serial-JTAG)",
    (0x303A, None): "ESP32-S2 or S3 with its own USB",
    (0x10C4, 0xEA60): "CP210x bridge (ESP32)",
    (0x1A86, 0x7523): "CH340 bridge (ESP32)",
    (0x1A86, 0x55D4): "CH9102 bridge (ESP32)",
    (0x0403, 0x6001): "FT232 bridge",
    (0xF055, None): "MicroPython board",
}


@dataclass
class Port:
    """A serial port with a board behind it, or what may be one."""

    path: str
    kind: str
    serial_number: str
    by_id: str

    def facts(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "port": self.path,
            "kind": self.kind,
            "serial_number": self.serial_number,
            "by_id": self.by_id,
            "in_use": is_in_use(self.path),
        }

    def line(self) -> str:
        """Return it for people."""
        used = " (in use by another program)" if is_in_use(self.path) else ""
        number = f", {self.serial_number}" if self.serial_number else ""
        return f"{self.by_id or self.path}: {self.kind}{number}{used}"


def boards() -> list[Port]:
    """Return the ports that a board may be on."""
    from serial.tools import list_ports

    found = []
    for info in sorted(list_ports.comports(), key=lambda info: info.device):
        kind = KNOWN.get((info.vid, info.pid)) or KNOWN.get((info.vid, None))
        if kind is not None:
            found.append(Port(info.device, kind, info.serial_number or "", _by_id(info.device)))
    return found


def _by_id(path: str) -> str:
    """Return the name of a port that stays the same, "" if it has none."""
    try:
        links = sorted(BY_ID.iterdir())
    except OSError:
        return ""
    return next((str(link) for link in links if os.path.realpath(link) == path), "")


def is_in_use(path: str) -> bool:
    """Return whether another program holds a port for itself (flock).

    Without opening it: that would move its lines, and reset many a board.
    """
    try:
        found = os.stat(path)
        locks = Path("/proc/locks").read_text()
    except OSError:
        return False
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any(device in line.split() for line in locks.splitlines())


def choose(path: str | None, wanted: str | None) -> str:
    """Return the one port that is meant. Raises FlashError if that is none or several."""
    if path is not None and wanted is not None:
        raise FlashError("--port and --id name the same thing: give one")
    if path is not None:
        return path
    found = boards()
    if wanted is not None:
        found = [port for port in found if wanted in f"{port.by_id} {port.serial_number}"]
    if len(found) == 1:
        return found[0].by_id or found[0].path
    if not found:
        what = f"no board with {wanted!r} in its name" if wanted else "no board"
        raise FlashError(f"{what} is there; `list` shows what is, --port names any port")
    names = ", ".join(port.by_id or port.path for port in found)
    raise FlashError(f"which board? There are {names}: use --port or --id")
