"""A board's settings: one JSON file, every key checked, no surprise left for later.

Whatever is wrong is one line that names the file, the key, the value and what
is allowed. A key that nobody asked for is wrong too: it is a typing mistake
whose setting would silently not be in force.
"""

import json
from binascii import crc32

from pyv_edge_core._compat import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from pyv_edge_core.privacy import PrivacyPolicy
    from pyv_edge_core.rule import Rule

    from .flash import Flash

_REQUIRED = object()


class SettingsError(ValueError):
    """A settings file can't be used; the text is one line for its author."""


class Section:
    """One JSON object of the file, read key by key; `end()` refuses what is left."""

    def __init__(self, values: "Any", path: str) -> None:
        if not isinstance(values, dict):
            raise SettingsError("%s: must be an object, in braces" % path)
        self.path = path
        self._values = dict(values)

    def _take(self, key: str, default: "Any") -> "Any":
        if key in self._values:
            return self._values.pop(key)
        if default is _REQUIRED:
            raise SettingsError("%s.%s: is missing" % (self.path, key))
        return default

    def integer(self, key: str, low: int, high: int, default: "Any" = _REQUIRED) -> int:
        """Return the whole number under `key`."""
        value = self._take(key, default)
        if (
            value is True
            or value is False
            or not isinstance(value, int)
            or not low <= value <= high
        ):
            raise SettingsError(
                "%s.%s: %r is not a whole number in %d..%d" % (self.path, key, value, low, high)
            )
        return value

    def text(self, key: str, default: "Any" = _REQUIRED) -> str:
        """Return the text under `key`."""
        value = self._take(key, default)
        if not isinstance(value, str):
            # Not what it is instead: it may be a key that lacks its quotes.
            raise SettingsError("%s.%s: must be a text, in quotes" % (self.path, key))
        return value

    def sections(self, key: str) -> "list[Section]":
        """Return the objects of the list under `key`."""
        values = self._take(key, _REQUIRED)
        path = "%s.%s" % (self.path, key)
        if not isinstance(values, list) or not values:
            raise SettingsError("%s: must be a list of at least one object" % path)
        return [Section(value, "%s[%d]" % (path, index)) for index, value in enumerate(values)]

    def raw(self, key: str, default: "Any") -> "Any":
        """Return whatever is under `key`, for somebody else to check."""
        return self._take(key, default)

    def fail(self, key: str, problem: str) -> SettingsError:
        """Return the error that says `problem` of `key`."""
        return SettingsError("%s.%s: %s" % (self.path, key, problem))

    def end(self) -> None:
        """Raise SettingsError if a key is left that nobody has asked for."""
        for key in sorted(self._values):
            raise self.fail(key, "is not a setting; see device.example.json")


class Settings:
    """What the node's parts are to be."""

    def __init__(self, section: Section, flash: "Flash") -> None:
        self.path = section.path
        self.config_hash = 0  # CRC-32 of the file: lets the host see drift
        self.device_id = section.text("device_id", "")
        self.telemetry_capacity = section.integer("telemetry_capacity", 16, 65536, 2048)
        self.events_capacity = section.integer("events_capacity", 16, 4096, 128)
        self.vitals_interval_ms = section.integer("vitals_interval_ms", 100, 3_600_000, 60_000)
        # After this time the board stops sampling and only delivers; 0: never.
        self.sample_for_ms = section.integer("sample_for_ms", 0, 1_000_000_000, 0)
        # With a key, only a host that has it too is heard: see pyv_edge_core.seal.
        self.link_key = b""
        path = section.text("link_key_file", "")
        if path:
            from .link_key import read_link_key

            self.link_key = read_link_key(section, flash, path)
        self.healthy_after_s = section.integer("healthy_after_s", 1, 3600, 60)
        # 8388: what an RP2040 can count to. 0: no watchdog.
        self.watchdog_ms = section.integer("watchdog_ms", 0, 8388, 8000)
        if 0 < self.watchdog_ms < 1000:
            raise section.fail("watchdog_ms", "%d is below 1000; 0: none" % self.watchdog_ms)
        self.led = section.text("led", "board")  # "": none, "board": its own, else a pin
        if len(self.led) > 16:
            raise section.fail("led", "is longer than 16 characters")
        self.uart = _uart(section)
        self.spill = _spill(section)
        self.sensors = section.sections("sensors")
        rules = section.raw("rules", None)
        privacy = section.raw("privacy", None)
        section.end()
        self.rules: tuple[Rule, ...] = ()
        self.policy: PrivacyPolicy | None = None  # None: everything passes
        # What a board isn't told to do it doesn't load: rules and privacy are a third of its heap.
        if rules is not None or privacy is not None:
            from .stages import read_stages

            self.rules, self.policy = read_stages(section.path, rules, privacy)


def _uart(section: Section) -> "tuple[int, int, int, int] | None":
    """Return (id, tx, rx, baud) of the UART that is the link; None: it is where the prompt is."""
    values = section.raw("uart", None)
    if values is None:
        return None
    uart = Section(values, section.path + ".uart")
    found = (
        uart.integer("id", 0, 9),
        uart.integer("tx", 0, 99),
        uart.integer("rx", 0, 99),
        uart.integer("baud", 1200, 4_000_000, 115_200),
    )
    uart.end()
    return found


def _spill(section: Section) -> "tuple[int, int, int] | None":
    """Return (size_kb, pages_per_day, after_s) of what is kept on the flash; None: nothing is."""
    values = section.raw("spill", None)
    if values is None:
        return None
    spill = Section(values, section.path + ".spill")
    found = (
        spill.integer("size_kb", 32, 1024, 64),
        spill.integer("pages_per_day", 1, 20_000, 1000),
        spill.integer("after_s", 5, 3600, 30),
    )
    spill.end()
    return found


def read(flash: "Flash", path: str) -> bytes:
    """Return what is in the settings file at `path`. Raises SettingsError."""
    try:
        content = flash.read(path)
    except OSError as error:
        raise SettingsError("%s: can't be read (%s)" % (path, error))
    if content is None:
        raise SettingsError("%s: is not there; copy device.example.json there" % path)
    return content


def load(flash: "Flash", path: str) -> Settings:
    """Return the settings in the JSON file at `path`. Raises SettingsError."""
    return parse(path, read(flash, path), flash)


def parse(path: str, content: bytes, flash: "Flash") -> Settings:
    """Return the settings that JSON stands for, of the file at `path`. Raises SettingsError.

    `flash` has the file that they may name.
    """
    config_hash = crc32(content)
    try:
        if b"\\ud" in content or b"\\uD" in content or b"\xed" in content:
            from .surrogates import joined

            content = joined(content)
        values = json.loads(content.decode())
    except (ValueError, RuntimeError) as error:  # RuntimeError: nested too deep
        raise SettingsError("%s: is not JSON: %s" % (path, error))
    settings = Settings(Section(values, path), flash)
    settings.config_hash = config_hash
    return settings
