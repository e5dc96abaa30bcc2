"""`pyv-edge-bridge monitor`: what passes over a line, live.

On a board's port it stands between board and agent if the agent opens its
`--link`, and else only listens. On a capture it follows what `record` writes.
A terminal gets a table (with rich), everything else a line per event.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import capture, line
from .errors import OutputStuckError
from .options import add_end, add_key, add_limits, add_port
from .output import Watch, carried_line, printer, summary_lines
from .seal_check import read_key
from .stdio import complain, is_done_in_time
from .steady_output import SteadyOutput

_FOLLOW_S = 0.1
_END_TIMEOUT_S = 5.0  # for a reader of the output that may have stopped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser, "PORT|CAPTURE")
    add_end(parser)
    add_limits(parser)
    add_key(parser)
    parser.add_argument("--plain", action="store_true", help="lines, also at a terminal")
    parser.add_argument("--readings", action="store_true", help="a line for each reading, too")


def run(args: argparse.Namespace) -> int:
    """Show it until it is to end; return 1 if a capture is damaged, or lines are missing."""
    key = read_key(args.link_key_file) if args.link_key_file else b""
    path = Path(args.port)
    if path.is_file():
        return _follow(args, path, key)
    output = line.make_output(args)
    watch = _watch(args, output, key, output.begun_ns)
    counted = line.run(args, output, lambda: [watch])
    _sum_up(output, watch, counted)
    return output.status


def _watch(args: argparse.Namespace, output: SteadyOutput, key: bytes, begun_ns: int) -> Watch:
    """Return the live table; where none can be drawn, or without rich, what prints lines."""
    if not (args.json or args.plain or args.readings) and _can_be_drawn_on():
        try:
            from .table import Table
        except ImportError:
            complain("pip install '.[tui]' in a clone shows a table here")
        else:
            return Table(key, args.port, begun_ns, output)
    show = printer(
        is_json=args.json,
        begun_ns=begun_ns,
        has_readings=args.readings,
        put=lambda text: output.add(f"{text}\n"),
    )
    return Watch(key, show)


def _can_be_drawn_on() -> bool:
    """Return whether standard output is a terminal whose cursor moves: else nothing would show."""
    return sys.stdout.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def _follow(args: argparse.Namespace, path: Path, key: bytes) -> int:
    """Show what is in a capture and what is still written to it."""
    line.refuse_end(args)
    reader = capture.Reader(path)
    output = line.make_output(args)
    watch = _watch(args, output, key, 0)
    ending = line.Ending(args.seconds)

    def stop() -> None:
        ending.is_asked = True

    def work() -> None:
        while not reader.is_damaged:
            _take_all(reader, watch, lambda: ending.is_asked)
            watch.tick()
            output.flush()
            if ending.is_over:
                break
            time.sleep(_FOLLOW_S)
        watch.end()

    with line.ended_by_signals(stop):
        if not is_done_in_time(work, _END_TIMEOUT_S, lambda: ending.is_asked):
            raise OutputStuckError("what is in it can't be written; is the output stopped?")
    reader.close()
    _sum_up(output, watch, None)
    if reader.problem:
        complain(reader.problem)
    return 1 if reader.is_damaged else 0


def _take_all(reader: capture.Reader, watch: Watch, is_asked: Callable[[], bool]) -> None:
    for seen in reader.read():
        watch.take(seen)
        if is_asked():
            return


def _sum_up(output: SteadyOutput, watch: Watch, counted: dict[str, int] | None) -> None:
    summary = watch.statistic.summary()
    lines = summary_lines(summary)
    told = {"event": "summary", **summary}
    if counted is not None:
        told["carried"] = counted
        lines.append(carried_line(counted))
    output.conclude(told, "\n".join(lines))
