"""SenML JSON (RFC 8428) to samples, each named by its whole name.

Names, times, units and values are put together from the base fields. A record without a
time was measured now, as the RFC says. What is no number can't be stored; one exception is
what the agent's own sinks write for a bad reading, a text "bad" under its name with
":quality" behind it.
"""

from collections.abc import Mapping
from typing import Any

from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, QUALITY_NAMES

from ..errors import SubmissionError
from ..submission import Sample
from .mapping import read_number

VERSION_MAX = 10
UNITS_MAX = 1000  # names whose unit is remembered, for readings that are bad and have none
ABSOLUTE_FROM_S = 2**28  # a time that is less is relative to now
TIME_MAX_S = 1e12
QUALITY_MARK = ":quality"
_NO_NUMBERS = ("vs", "vb", "vd")


class SenMLPack:
    """The base fields of a pack, as its records come."""

    def __init__(self, now_ms: int, units: dict[str, str]) -> None:
        """Begin with none; `now_ms` is UTC, `units` what is remembered of earlier packs."""
        self._now_ms = now_ms
        self._units = units
        self._base: dict[str, Any] = {"bn": "", "bt": 0.0, "bu": "", "bv": 0.0}

    def sample(self, record: Any) -> Sample:
        """Return what the next record says. Raises SubmissionError."""
        if not isinstance(record, Mapping):
            raise SubmissionError("is no SenML record: it must be an object")
        for key in record:
            if isinstance(key, str) and key.endswith("_"):
                raise SubmissionError("has a field that must be understood and is not known here")
        if read_number(record.get("bver", VERSION_MAX), "bver") > VERSION_MAX:
            raise SubmissionError(f"bver is above {VERSION_MAX}, the only version known here")
        for key in ("bn", "bu"):
            if key in record:
                self._base[key] = _text(record, key, "")
        for key in ("bt", "bv"):
            if key in record:
                self._base[key] = read_number(record[key], key)
        name = self._base["bn"] + _text(record, "n", "")
        if not name:
            raise SubmissionError("has no name: n and bn are missing")
        time_s = self._base["bt"] + read_number(record.get("t", 0.0), "t")
        if abs(time_s) > TIME_MAX_S:
            raise SubmissionError("t is no time: it must be seconds")
        utc_ms = round(time_s * 1000) + (self._now_ms if time_s < ABSOLUTE_FROM_S else 0)
        if name.endswith(QUALITY_MARK) and record.get("vs") in QUALITY_NAMES:
            return self._of_quality(name.removesuffix(QUALITY_MARK), utc_ms, record["vs"])
        unit = _text(record, "u", self._base["bu"])
        if name in self._units or len(self._units) < UNITS_MAX:
            self._units[name] = unit
        return Sample(name, self._value(record), utc_ms, unit, QUALITY_GOOD)

    def _of_quality(self, name: str, utc_ms: int, quality: str) -> Sample:
        if quality != QUALITY_NAMES[QUALITY_BAD]:
            raise SubmissionError("vs says a quality that has a value, without one")
        return Sample(name, 0.0, utc_ms, self._units.get(name, ""), QUALITY_BAD)

    def _value(self, record: Mapping[str, Any]) -> float:
        if "v" not in record:
            other = next((key for key in _NO_NUMBERS if key in record), "")
            problem = f"{other} is no number" if other else "v is missing"
            raise SubmissionError(f"{problem}: only what has v can be stored")
        number = read_number(record["v"], "v") + self._base["bv"]
        return read_number(number, "v and bv together")


def _text(record: Mapping[str, Any], key: str, default: str) -> str:
    found = record.get(key, default)
    if not isinstance(found, str):
        raise SubmissionError(f"{key} is no text")
    return found
