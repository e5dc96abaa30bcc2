"""Mapping: from what a sender wrote (JSON, a row, a bare number) to samples.

One set of settings for all adapters, see settings.MAPPING. What is missing or is no number
is an error that names the path, never a 0; a message never repeats the value.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, QUALITY_NAMES

from ..errors import SubmissionError
from ..submission import Sample

DEPTH_MAX = 16  # keys and indexes of one path
MS_FROM = 1e11  # a time that is a larger number is in milliseconds, of today; else in seconds
_KEY_END = ".["


class Path:
    """Where something is inside of JSON: `$.main.temps[0]`, `main.temps[0]`, `["odd key"].x`."""

    def __init__(self, text: str) -> None:
        """Read a path. Raises ValueError saying what is wrong with it."""
        self.text = text
        self.steps: list[str | int] = []
        rest = text.removeprefix("$")
        rest = rest if rest.startswith(("[", ".")) else "." + rest
        while rest:
            rest = self._step(rest)
        if len(self.steps) > DEPTH_MAX:
            raise ValueError(f"{text!r} has more than {DEPTH_MAX} steps")

    def _step(self, rest: str) -> str:
        if rest.startswith("."):
            size = next((at for at in range(1, len(rest)) if rest[at] in _KEY_END), len(rest))
            if size == 1:
                raise ValueError(f"{self.text!r} has an empty key; write a.b, or a[0]")
            self.steps.append(rest[1:size])
            return rest[size:]
        close = rest.find("]")
        if rest.startswith('["'):
            close = rest.find('"]') + 1
        inside = rest[1:close]
        if close < 1 or not inside:
            raise ValueError(f"{self.text!r} has a [ without its ]")
        if inside.startswith('"'):
            self.steps.append(inside[1:-1])
        elif inside.lstrip("-").isdecimal():
            self.steps.append(int(inside))
        else:
            raise ValueError(
                f'{self.text!r}: [{inside}] is no index; a key is written ["{inside}"]'
            )
        return rest[close + 1 :]

    def is_in(self, document: Any) -> bool:
        """Return whether something is there, and not null."""
        try:
            self.find(document)
        except SubmissionError:
            return False
        return True

    def find(self, document: Any) -> Any:
        """Return what is there. Raises SubmissionError if nothing is, or null."""
        found = document
        for step in self.steps:
            is_there = (
                isinstance(found, Mapping)
                if isinstance(step, str)
                else isinstance(found, list) and -len(found) <= step < len(found)
            )
            if not is_there or (isinstance(step, str) and step not in found):
                raise SubmissionError(f"{self.text} is missing")
            found = found[step]
        if found is None:
            raise SubmissionError(f"{self.text} is null")
        return found


def read_number(found: Any, what: str) -> float:
    """Return a number, also one that is written as a text. Raises SubmissionError."""
    if isinstance(found, bool):
        raise SubmissionError(f"{what} is a truth value, not a number")
    if isinstance(found, str):
        try:
            # Python reads more as a number than anybody would write who sends one.
            found = float(found if found.isascii() and "_" not in found else "")
        except ValueError:
            raise SubmissionError(f"{what} is no number") from None
    if not isinstance(found, (int, float)):
        raise SubmissionError(f"{what} is {_kind(found)}, not a number")
    try:
        number = float(found)
    except OverflowError:
        raise SubmissionError(f"{what} is beyond all floats") from None
    if not math.isfinite(number):
        raise SubmissionError(f"{what} is not finite")
    return number


def read_time_ms(found: Any, what: str) -> int:
    """Return UTC milliseconds of a time: ISO-8601, seconds or milliseconds since 1970.

    ISO without an offset is UTC. Raises SubmissionError.
    """
    if isinstance(found, str) and not is_numeral(found):
        text = found.strip()
        # fromisoformat() of Python 3.10 knows no Z
        text = text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)
            return round(moment.timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            raise SubmissionError(f"{what} is no time: write ISO-8601, s or ms of UTC") from None
    number = read_number(found, what)
    return round(number) if abs(number) > MS_FROM else round(number * 1000)


def is_numeral(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kind(found: Any) -> str:
    names: dict[type, str] = {dict: "a table", list: "a list", str: "a text"}
    return names.get(type(found), type(found).__name__)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise SubmissionError("is JSON, but one key stands twice in its table")
    return made


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def read_json(content: bytes | str) -> Any:
    """Return what JSON means. Raises SubmissionError."""
    try:
        return _DECODER.decode(content if isinstance(content, str) else content.decode())
    except SubmissionError:
        raise
    except RecursionError:
        raise SubmissionError("is JSON, but nested too deep") from None
    except ValueError as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise SubmissionError(f"is no JSON{where}") from None


class Mapper:
    """Makes samples of documents as a device's table says."""

    def __init__(self, device: Mapping[str, Any]) -> None:
        """Read the mapping of a checked device table."""
        self._value = Path(device["value_path"])
        self._time = Path(device["time_path"]) if device["time_path"] else None
        self._channel = Path(device["channel_path"]) if device["channel_path"] else None
        self._unit_at = Path(device["unit_path"]) if device["unit_path"] else None
        self._quality = Path(device["quality_path"]) if device["quality_path"] else None
        self._items = Path(device["items_path"]) if device["items_path"] else None
        self._fields = {name: Path(path) for name, path in device["fields"].items()}
        self._unit: str = device["unit"]

    def map(self, document: Any, channel: str = "") -> list[Sample]:
        """Return the samples of a document, of a list of them, or of the list inside it.

        `channel` is what else is known of whose they are. Raises SubmissionError.
        """
        found = self.items(document)
        if not isinstance(found, list):
            return self.map_one(found, channel)
        samples: list[Sample] = []
        for index, one in enumerate(found):
            try:
                samples += self.map_one(one, channel)
            except SubmissionError as error:
                raise SubmissionError(f"[{index}]: {error}") from None
        return samples

    def items(self, document: Any) -> Any:
        """Return what a document has: a reading, or a list of them. Raises SubmissionError."""
        return document if self._items is None else self._items.find(document)

    def map_number(self, number: Any, channel: str = "") -> list[Sample]:
        """Return the sample of a bare number, which has no time of its own."""
        return [Sample(channel, read_number(number, "the payload"), None, self._unit)]

    def map_one(self, document: Any, channel: str = "") -> list[Sample]:
        """Return the samples of one reading. Raises SubmissionError."""
        utc_ms = None
        if self._time is not None:
            utc_ms = read_time_ms(self._find_time(self._time, document), self._time.text)
        unit = _text(self._unit_at, document, self._unit)
        quality = QUALITY_GOOD
        if self._quality is not None:
            name = _text(self._quality, document, QUALITY_NAMES[QUALITY_GOOD])
            if name not in QUALITY_NAMES:
                known = ", ".join(QUALITY_NAMES)
                raise SubmissionError(f"{self._quality.text} is none of {known}")
            quality = QUALITY_NAMES.index(name)
        if self._channel is not None:
            own = _text(self._channel, document, None)
            channel = f"{channel}.{own}" if channel else own
        if not self._fields:
            value = self._number(self._value, document, quality)
            return [Sample(channel, value, utc_ms, unit, quality)]
        prefix = f"{channel}." if channel else ""
        return [
            Sample(prefix + name, self._number(path, document, quality), utc_ms, unit, quality)
            for name, path in self._fields.items()
        ]

    @staticmethod
    def _find_time(path: Path, document: Any) -> Any:
        try:
            return path.find(document)
        except SubmissionError as error:
            where = 'time_path says where it is, time_path = "" takes the time of arrival'
            raise SubmissionError(f"{error}; the device's {where}") from None

    @staticmethod
    def _number(path: Path, document: Any, quality: int) -> float:
        # What a bad reading has for a value is nothing that anybody should read.
        return 0.0 if quality == QUALITY_BAD else read_number(path.find(document), path.text)


def _text(path: Path | None, document: Any, default: str | None) -> str:
    """Return the text at `path`, `default` if there is no path, nothing there, or an empty text.

    Without a default, nothing there is an error.
    """
    if path is None or (default is not None and not path.is_in(document)):
        assert default is not None
        return default
    found = path.find(document)
    if found == "" and default is not None:
        return default
    if not isinstance(found, str) or not found:
        raise SubmissionError(f"{path.text} is no text")
    return found


def check_mapping(device: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (key, fault) of what is wrong in the mapping of a device table."""
    faults = []
    keys: Sequence[str] = ("value_path", "time_path", "channel_path", "unit_path")
    for key in (*keys, "quality_path", "items_path"):
        text = device.get(key, "")
        if text or key == "value_path":
            faults += _fault(key, text)
    for name, text in device.get("fields", {}).items():
        faults += _fault(f"fields.{name}", text)
    return faults


def _fault(key: str, text: str) -> list[tuple[str, str]]:
    try:
        Path(text)
    except ValueError as error:
        return [(key, str(error))]
    return []
