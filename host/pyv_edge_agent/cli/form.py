"""The forms in which readings and what is told of them come out: text for pieces of payloads.

A payload is what a sink gets. Each form is a generator, so that a million readings are
never in memory at once.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..sinks.line_protocol import line
from ..sinks.payload import senml_record
from ..view import EVENTS, GAPS, READINGS, SUMMARIES
from .filters import FORMS
from .moment import show_ms
from .output import paint

Payload = dict[str, Any]
Pieces = Iterable[list[Payload]]
Column = tuple[str, Callable[[Payload], Any]]

TABLE, CSV, NDJSON, SENML, LINE_PROTOCOL = FORMS

_WIDTH_MIN = 5
_COLOURS = {"critical": "red", "warning": "yellow", "info": "cyan"}


def _field(name: str) -> Column:
    return name, lambda payload: payload.get(name)


def _metadata(name: str) -> Column:
    return name, lambda payload: payload.get("metadata", {}).get(name)


def _of_reading(name: str) -> Column:
    """Return a field of the reading that an event is about."""
    return name, lambda payload: (payload["sensor_readings"] or [{}])[0].get(name)


def shown_time(payload: Payload) -> str:
    """Return when a payload was, as text."""
    return show_ms(round(payload["timestamp"] * 1000))


def _time(name: str) -> Column:
    return name, shown_time


_SENSOR: Column = ("sensor", lambda payload: payload["sensor_name"])
_TIME_QUALITY: Column = (
    "time_quality",
    lambda payload: payload.get("metadata", {}).get("time_quality", "good"),
)

COLUMNS: dict[str, list[Column]] = {
    READINGS: [
        *(_time("time"), _SENSOR, _field("value"), _field("unit"), _metadata("quality")),
        *(_TIME_QUALITY, _metadata("time_error_ms"), _metadata("device"), _metadata("channel")),
        *(_metadata("boot"), _metadata("stream"), _metadata("seq")),
    ],
    EVENTS: [
        *(_time("time"), ("sensor", _metadata("sensor_name")[1])),
        *(("rule", _field("rule_name")[1]), _field("severity"), _metadata("state")),
        *(_of_reading("value"), _of_reading("unit"), _field("message"), _TIME_QUALITY),
    ],
    GAPS: [
        *(_time("noticed"), _field("device"), _field("boot"), _field("stream")),
        *(_field("first_seq"), _field("last_seq"), _field("count"), _field("cause")),
        _TIME_QUALITY,
    ],
    SUMMARIES: [
        *(_time("start"), _field("period_s"), _SENSOR, _field("unit"), _field("count")),
        *(_field("bad_count"), _field("min"), _field("max"), _field("mean"), _field("last")),
        _TIME_QUALITY,
    ],
}

# What a table of readings leaves out, so that it fits a terminal.
_NOT_SHOWN = {"time_error_ms", "device", "channel", "boot", "stream", "seq"}


def csv_text(pieces: Pieces, kind: str) -> Iterator[str]:
    """Yield CSV (RFC 4180) with a header; what there is no value for is empty."""
    columns = COLUMNS[kind]
    yield _csv_lines([[name for name, _ in columns]])
    for piece in pieces:
        yield _csv_lines([[value(payload) for _, value in columns] for payload in piece])


def _csv_lines(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def ndjson_text(pieces: Pieces) -> Iterator[str]:
    """Yield a JSON object a line, as a sink gets them."""
    for piece in pieces:
        yield "".join(json.dumps(payload, separators=(",", ":")) + "\n" for payload in piece)


def senml_text(pieces: Pieces) -> Iterator[str]:
    """Yield one SenML pack (RFC 8428), a record a line."""
    before = "[\n"
    for piece in pieces:
        for payload in piece:
            yield before + json.dumps(senml_record(payload), separators=(",", ":"))
            before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def line_text(pieces: Pieces, measurement: str) -> Iterator[str]:
    """Yield line protocol, as the sink for InfluxDB writes it."""
    for piece in pieces:
        yield "".join(line(measurement, payload) + "\n" for payload in piece)


class Table:
    """Columns for people, as wide as what has come so far needs."""

    def __init__(self, kind: str) -> None:
        """Make a table of payloads of a kind."""
        hidden = _NOT_SHOWN if kind == READINGS else ()
        self._columns = [one for one in COLUMNS[kind] if one[0] not in hidden]
        self._widths = [max(len(name), _WIDTH_MIN) for name, _ in self._columns]

    def head(self) -> str:
        """Return the line with the names."""
        return self._line([name for name, _ in self._columns])

    def rows(self, payloads: list[Payload]) -> list[str]:
        """Return a line for each payload."""
        cells = [[_shown(value(one)) for _, value in self._columns] for one in payloads]
        self._widths = [
            max([width, *(len(row[index]) for row in cells)])
            for index, width in enumerate(self._widths)
        ]
        return [self._line(row) for row in cells]

    def _line(self, cells: list[str]) -> str:
        pairs = zip(cells, self._widths, strict=True)
        return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def table_text(pieces: Pieces, kind: str) -> Iterator[str]:
    """Yield a table; nothing at all if there is nothing in it."""
    table = Table(kind)
    is_first = True
    for piece in pieces:
        rows = table.rows(piece)
        if is_first and rows:
            rows.insert(0, table.head())
            is_first = False
        yield "".join(row + "\n" for row in rows)


def event_line(payload: Payload) -> str:
    """Return an event as a line for people, in colour on a terminal."""
    severity, state = payload["severity"], payload["metadata"].get("state", "")
    text = f"{severity} {state}: {payload['message']} ({payload['rule_name']})"
    colour = "green" if state == "resolved" else _COLOURS.get(severity, "yellow")
    return f"{shown_time(payload)}  {paint(text, colour)}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def text_of(form: str, kind: str, pieces: Pieces, measurement: str) -> Iterator[str]:
    """Return the text of payloads of a kind in one of FORMS."""
    if form == CSV:
        return csv_text(pieces, kind)
    if form == NDJSON:
        return ndjson_text(pieces)
    if form == SENML:
        return senml_text(pieces)
    if form == LINE_PROTOCOL:
        return line_text(pieces, measurement)
    return table_text(pieces, kind)
