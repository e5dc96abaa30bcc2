"""Judges a board's settings as the board will, with the node's own code; a process of its own.

Reads the file's content from standard input, its name is the argument. Prints a JSON
object: `problem`, one line or "", and `own`, the types of sensors that are none of ours.
Which pins a chip has, and whether it has the memory, only the board knows.
"""

import json
import sys
from typing import Any

from pyv_edge_core.errors import FieldError
from pyv_edge_core.reading import LIMITS, check_name
from pyv_edge_node import sensors
from pyv_edge_node.board.wiring import Wiring
from pyv_edge_node.parts import Parts
from pyv_edge_node.settings import Section, SettingsError, parse
from pyv_edge_node.surrogates import joined

KEY_SIZE = 64


class _Anything:
    """What can be asked, called and combined like a module of MicroPython's, and is nothing."""

    def __getattr__(self, name: str) -> "_Anything":
        return self

    def __call__(self, *args: Any, **named: Any) -> "_Anything":
        return self

    def __or__(self, other: Any) -> "_Anything":
        return self


class _OneWire(_Anything):
    """A wire with nothing on it, which knows its CRC: addresses have one."""

    def __init__(self, pin: Any) -> None:
        """Be the one on `pin`."""

    def crc8(self, data: bytes) -> int:
        """Return the CRC-8 of `data` (Maxim's application note 27), 0 with its own behind it."""
        found = 0
        for byte in data:
            found ^= byte
            for _ in range(8):
                found = found >> 1 ^ (found & 1) * 0x8C
        return found


class _Modules(_Anything):
    """Whichever module of MicroPython's is loaded by its name."""

    OneWire = _OneWire


class _Time:
    """MicroPython's time, which stands still."""

    def ticks_ms(self) -> int:
        """Return the time."""
        return 0

    def sleep_us(self, duration_us: int) -> None:
        """Do nothing."""


class PaperBoard:
    """A board that has any pin, and at which nothing is connected."""

    name = "paper"

    def __init__(self) -> None:
        self.wiring = Wiring(_Anything(), _Time(), lambda name: _Modules())

    def claim(self, section: Section, key: str, pin: int) -> None:
        """Note that a pin is no sensor's. Raises SettingsError if it is one's."""
        self.wiring.claim(section, key, pin)

    def unique_id(self) -> str:
        """Return a number that a board could have."""
        return "0" * 16

    def boot_id(self) -> int:
        """Return a number like one of a boot."""
        return 0

    def reset_cause(self) -> int:
        """Return that of an unknown reset."""
        return 0

    def ticks_ms(self) -> int:
        """Return the time, which stands still."""
        return 0

    def led(self, name: str) -> None:
        """Return None: which lights there are only a board knows."""


class PaperFlash:
    """Files of a board of which none is known, and a key if one is asked for."""

    def read(self, path: str) -> bytes:
        """Return what a key file could have."""
        return b"k" * KEY_SIZE

    def has(self, path: str) -> bool:
        """Return that there is no such folder."""
        return False


def judge(path: str, content: bytes) -> tuple[str, list[str]]:
    """Return (what is wrong or "", types of sensors of the user's own)."""
    flash: Any = PaperFlash()
    try:
        config = parse(path, content, flash)
        values = json.loads(joined(content))  # sections have their keys taken
        own = _own_types(values["sensors"], path)
        ours = []
        for section, value in zip(config.sensors, values["sensors"], strict=True):
            if value.get("type") in own:
                _check_own(section)
            else:
                ours.append(section)
        config.sensors, config.spill = ours, None
        Parts(config, PaperBoard(), flash, None, None)
    except SettingsError as error:
        return str(error), []
    return "", own


def _own_types(values: list[dict[str, Any]], path: str) -> list[str]:
    """Return the types of sensors that are none of the node's. Raises SettingsError."""
    found = []
    for index, value in enumerate(values):
        kind = value.get("type")
        if not isinstance(kind, str) or kind in sensors.TYPES.split():
            continue  # what is no text is refused as on the board
        try:
            found.append(check_name("type", kind))
        except FieldError as error:
            raise SettingsError(f"{path}.sensors[{index}].{error}") from error
        if kind == "__init__":
            raise SettingsError(f"{path}.sensors[{index}].type: '__init__' is no sensor's file")
    return found


def _check_own(section: Section) -> None:
    """Judge what is the sampler's of a sensor of the user's own. Raises SettingsError."""
    low, high = LIMITS["interval_ms"]
    section.integer("interval_ms", low, high)
    prefix = section.text("prefix", "")
    try:
        if prefix:
            check_name("prefix", prefix + ".x")  # the shortest name that a channel can get
    except FieldError as error:
        raise SettingsError(f"{section.path}.{error}") from error


def main() -> int:
    """Judge what comes by standard input."""
    problem, own = judge(sys.argv[1], sys.stdin.buffer.read())
    print(json.dumps({"problem": problem, "own": own}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
