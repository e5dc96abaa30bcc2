"""What commands print: lines for people, or one JSON object per line for programs."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from . import stdio
from .chunk import Note, Seen
from .description import as_lines, as_object
from .event import Event, Message
from .statistic import Statistic
from .steady_output import SteadyOutput
from .tap import Tap

Show = Callable[[Event | Note], None]


def tell(args: argparse.Namespace, told: dict[str, Any], line: str) -> None:
    """Print `told` as JSON if that is asked for, else `line`. Raises as `stdio.put` does."""
    stdio.put(json.dumps(told) if args.json else line)


class Watch:
    """Takes apart what it sees, counts it, and lets it be shown."""

    def __init__(self, key: bytes, show: Show | None) -> None:
        """Check seals with `key`; call `show` with each event if it is given."""
        self.tap = Tap(key)
        self.statistic = Statistic(self.tap.decoders)
        self.seen_ns = 0  # when anything last happened
        self._show = show

    def take(self, seen: Seen) -> None:
        """Take the next of what happened."""
        self.seen_ns = max(self.seen_ns, seen.at_ns)
        if isinstance(seen, Note):
            if self._show is not None:
                self._show(seen)
            return
        self.statistic.chunk(seen)
        self._events(self.tap.feed(seen))

    def _events(self, events: list[Event]) -> None:
        for event in events:
            self.statistic.event(event)
            if self._show is not None:
                self._show(event)

    def message(self, event: Message) -> None:
        """Take a message that came without a frame."""
        self._events([event])

    def tick(self) -> None:
        """Do nothing: what was shown is written by whoever shows it."""

    def end(self) -> None:
        """Show what is left unfinished."""
        self._events(self.tap.end(self.seen_ns))
        self.tick()


class Watcher:
    """Tells what happens to the line itself, and nothing of what passes."""

    def __init__(self, output: SteadyOutput) -> None:
        """Tell it in `output`."""
        self._output = output

    def take(self, seen: Seen) -> None:
        """Take the next of what happened."""
        if isinstance(seen, Note):
            self._output.tell_note(seen)

    def tick(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


def printer(
    *, is_json: bool, begun_ns: int, has_readings: bool, put: Callable[[str], None] = stdio.put
) -> Show:
    """Return what prints an event with `put`."""

    def show(seen: Event | Note) -> None:
        if is_json:
            put(json.dumps(as_object(seen, begun_ns)))
        else:
            put("\n".join(as_lines(seen, begun_ns, has_readings=has_readings)))

    return show


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """Return what `Statistic.summary` says, as lines."""
    lines = []
    rates = summary["bytes_per_s"]
    for side, count in summary["bytes_total"].items():
        rate = f", {rates[side]:g} a second" if rates[side] is not None else ""
        lines.append(f"from the {side}: {count} bytes{rate}")
    for one in summary["messages"]:
        lines.append(
            f"  {one['from']:<6} {one['type']:<14} {one['count']:8}  {one['bytes']:10} bytes"
        )
    for name, stream in summary["streams"].items():
        if any(stream.values()):
            lines.append(
                f"{name}: {stream['readings_total']} numbers, {stream['repeated_total']} sent"
                f" again, {stream['missing_total']} jumped over, {stream['gaps_total']} announced"
                " as lost"
            )
    lines.append(
        f"damaged: {summary['bad_fcs_total']} frames with a wrong FCS,"
        f" {summary['oversize_total']} without an end, {summary['noise_bytes_total']} bytes of"
        f" noise, {summary['unreadable_total']} unreadable messages;"
        f" {summary['resend_requests_total']} times asked to send again"
    )
    if summary["console_bytes_total"]:
        lines.append(
            f"console: {summary['console_lines_total']} lines,"
            f" {summary['console_bytes_total']} bytes"
        )
    if summary["sealed_total"]:
        verdicts = ", ".join(f"{count} {name}" for name, count in summary["seals"].items())
        lines.append(f"sealed: {summary['sealed_total']} messages ({verdicts})")
    for key, what in (("time_ms", "time request to answer"), ("data_ms", "data to commit")):
        if summary[key]:
            shown = ", ".join(f"{name} {value:g}" for name, value in summary[key].items())
            lines.append(f"{what}, ms: {shown}")
    return lines


def carried_line(counted: dict[str, int]) -> str:
    """Return what a `Carrier` has counted, as a line."""
    line = (
        f"carried {counted['to_host_bytes_total']} bytes to the host and"
        f" {counted['to_board_bytes_total']} to the board; lost {counted['lost_bytes_total']},"
        f" unheard {counted['unheard_bytes_total']}, unsaid {counted['unsaid_bytes_total']};"
        f" the port went away {counted['port_went_away_total']} times"
    )
    if counted["unseen_bytes_total"]:
        line += f"; {counted['unseen_bytes_total']} bytes were not looked at"
    if counted["unwritten_lines_total"]:
        line += f"; {counted['unwritten_lines_total']} lines of this could not be written"
    return line
