"""Which serial port a device's `port` means: a path, a link, or a USB device.

    /dev/ttyACM0 or /dev/serial/by-id/...   that path
    usb:VID:PID or usb:VID:PID:SERIAL       the one port that belongs to such a device

A port that isn't there is looked for until it is. More than one that fits is
never guessed at: two boards would change names at their next start. Nor do two
devices of the configuration get one port: `PortClaims` knows who has which.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import PortAbsentError

SHOWN_MAX = 8  # candidates that a message names

# A serial number may hold anything: an ESP32-S3's own USB has its MAC there, with colons.
_USB = re.compile(r"usb:([0-9a-f]{1,4}):([0-9a-f]{1,4})(?::(\S.*))?", re.IGNORECASE)


class PortInfo(Protocol):
    """What is known of a port of this computer, as `serial.tools.list_ports` has it."""

    @property
    def device(self) -> str:
        """Its path."""
        ...

    @property
    def vid(self) -> int | None:
        """The USB vendor, None if it isn't USB."""
        ...

    @property
    def pid(self) -> int | None:
        """The USB product."""
        ...

    @property
    def serial_number(self) -> str | None:
        """The USB device's serial number, None if it has none."""
        ...


ListPorts = Callable[[], Iterable[PortInfo]]


def list_ports() -> Iterable[PortInfo]:
    """Return the serial ports of this computer."""
    from serial.tools.list_ports import comports

    return comports()


@dataclass(frozen=True)
class UsbDevice:
    """A port by the USB device that it belongs to."""

    vid: int
    pid: int
    serial_number: str  # "": any; compared without regard to case

    def fits(self, port: PortInfo) -> bool:
        """Return whether `port` belongs to such a device."""
        found = (port.serial_number or "").lower()
        return (port.vid, port.pid) == (self.vid, self.pid) and (
            not self.serial_number or found == self.serial_number
        )


def parse(text: str) -> UsbDevice | None:
    """Return the USB device that `text` names, None if it is a path.

    Raises ValueError saying what is allowed.
    """
    if not text:
        raise ValueError("must not be empty")
    if not text.lower().startswith("usb:"):
        return None
    match = _USB.fullmatch(text)
    if match is None:
        raise ValueError("must be a path, usb:VID:PID or usb:VID:PID:SERIAL, VID and PID in hex")
    vid, pid, serial_number = match.groups()
    return UsbDevice(int(vid, 16), int(pid, 16), (serial_number or "").lower())


def normal(text: str) -> str:
    """Return `text` in the one form that all ways of writing the same port have in common."""
    try:
        device = parse(text)
    except ValueError:
        return text
    if device is None:
        return os.path.normpath(text)
    return f"usb:{device.vid:04x}:{device.pid:04x}:{device.serial_number}"


def find(text: str, ports: ListPorts) -> str:
    """Return the path of the port that `text` means. Raises PortAbsentError."""
    device = parse(text)
    if device is None:
        if not os.path.exists(text):
            problem = "does not exist; plug the board in, or name another port"
            raise PortAbsentError(f"serial port {text} {problem} (ls /dev/serial/by-id)")
        return text
    try:
        fitting = [port for port in ports() if device.fits(port)]
    except (OSError, TypeError, ValueError) as error:
        # pyserial trips over a device that goes while it reads what the system says of it.
        raise PortAbsentError(f"serial port {text}: ports can't be listed now: {error}") from error
    if not fitting:
        problem = "is not there; plug the board in, or name another (ls /dev/serial/by-id)"
        raise PortAbsentError(f"serial port {text} {problem}")
    if len(fitting) > 1:
        raise PortAbsentError(f"serial port {text} {_ambiguity(device, fitting)}")
    return fitting[0].device


def lasting_names(ports: ListPorts, folder: Path = Path("/dev/serial")) -> dict[str, str]:
    """Return the USB serial ports that are there: their paths now, and a name that lasts.

    That is the USB device with its serial number; without one, a link in `folder` for
    the place it is plugged into, else its path. Raises OSError.
    """
    found = [port for port in ports() if port.vid is not None and port.pid is not None]
    names = {}
    for port in sorted(found, key=lambda port: port.device):
        number = (port.serial_number or "").strip()
        same = UsbDevice(port.vid or 0, port.pid or 0, number.lower())
        if number.isprintable() and number and sum(same.fits(one) for one in found) == 1:
            names[port.device] = f"usb:{same.vid:04x}:{same.pid:04x}:{number}"
        else:
            names[port.device] = _link(folder / "by-path", port.device)
    return names


def _link(folder: Path, path: str) -> str:
    """Return the link in `folder` that leads to `path`, `path` itself if none does."""
    if not folder.is_dir():
        return path
    real = os.path.realpath(path)
    links = (str(link) for link in sorted(folder.iterdir()) if os.path.realpath(link) == real)
    return next(links, path)


def _ambiguity(device: UsbDevice, fitting: list[PortInfo]) -> str:
    fitting = sorted(fitting, key=lambda port: port.device)
    shown = ", ".join(
        f"{port.device} (serial number {port.serial_number or 'none'})"
        for port in fitting[:SHOWN_MAX]
    )
    more = f" and {len(fitting) - SHOWN_MAX} more" if len(fitting) > SHOWN_MAX else ""
    numbers = {(port.serial_number or "").lower() for port in fitting}
    remedy = "name one by its path in /dev/serial/by-id or /dev/serial/by-path"
    if not device.serial_number and "" not in numbers and len(numbers) == len(fitting):
        remedy = f"write usb:{device.vid:04x}:{device.pid:04x}:SERIAL"
    return f"fits {len(fitting)} ports: {shown}{more}; {remedy}"


class PortClaims:
    """Which port each device of the configuration has. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}  # by real path

    def take(self, path: str, owner: str) -> None:
        """Let `owner` have the port at `path`, and no other any more.

        It stays the owner's while it is closed. Raises PortAbsentError if another
        has it, perhaps under another path.
        """
        real = os.path.realpath(path)
        with self._lock:
            self._release(owner)
            other = self._owners.setdefault(real, owner)
        if other != owner:
            raise PortAbsentError(
                f"serial port {path} is {real}, which device {other} has; name another port"
            )

    def release(self, owner: str) -> None:
        """Let others have what `owner` had."""
        with self._lock:
            self._release(owner)

    def _release(self, owner: str) -> None:
        for path in [path for path, held_by in self._owners.items() if held_by == owner]:
            del self._owners[path]
